"""Statutes for the legal tools: imported from the official site or from files, listed, removed."""

from __future__ import annotations

import argparse
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import date

from ..config import Settings
from ..errors import MoeError
from ..store.database import NotStored
from ..store.laws import Laws, check_full_text
from ..store.statute import LawCard
from ..tools.law.documents import BadStatute, read_law
from ..tools.law.shelf import IMPORT
from .bar import draw
from .law_site import Site, find_origins, is_contents, read_slugs
from .line import read_settings
from .options import Misuse
from .statutes import NoStatute, Offline, Origin, Web, open_files
from .terminal import Terminal, table

FILE = "laws.sqlite"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Exit code 1 when something could not be imported or removed."""
    settings = read_settings(options)
    with closing(Laws(settings.data_folder / FILE)) as store:
        if options.action == "list":
            return _list(store, terminal)
        if options.action == "remove":
            return _remove(store, options.names, terminal)
        if not options.sources and not options.all:
            raise Misuse("say what to import: an abbreviation (BGB), an address, a file or a folder, or --all")
        return _Import(store, settings, terminal).run(options.sources, is_all=options.all)


def _list(store: Laws, terminal: Terminal) -> int:
    cards = store.cards()
    if not cards:
        terminal.print(f"no statutes are imported yet; for the four usual ones: {IMPORT} BGB StGB HGB GG")
        return 0
    rows = [(card.abbreviation, card.title, str(card.size), card.retrieved, card.source) for card in cards]
    for line in table((("law", "title", "norms", "retrieved", "source"), *rows)):
        terminal.print(line)
    return 0


def _remove(store: Laws, names: list[str], terminal: Terminal) -> int:
    code = 0
    for name in names:
        card = store.find_law(name)
        if card is None:
            terminal.complain(f"{name} is not imported")
            code = 1
        else:
            store.remove(card)
            terminal.print(f"{card.abbreviation} is removed")
    return code


class _Import:
    """One run of `laws import`."""

    def __init__(self, store: Laws, settings: Settings, terminal: Terminal) -> None:
        self._store = store
        self._url = settings.laws_url
        self._file = settings.data_folder / FILE
        self._terminal = terminal
        self._today = date.today().isoformat()
        self._name = ""
        self._share = (0, 1)

    def run(self, sources: list[str], *, is_all: bool) -> int:
        check_full_text()
        failures = 0
        with closing(Web(base=self._url, told=self._tell)) as web:
            site = Site(web, self._url)
            try:
                for source in sources:
                    failures += self._import_source(source, site, web)
                if is_all:
                    failures += self._import_each(self._find_new(site), is_many=True)
            except NotStored as error:
                return self._fail(NoStatute(f"it cannot be kept in {self._file}: {error.__cause__ or error.message}"),
                                  self._name)
            except Offline as error:  # the next one would not answer either
                return self._fail(error)
        self._terminal.redraw("")
        return 1 if failures else 0

    def _import_source(self, source: str, site: Site, web: Web) -> int:
        """How many of it failed. Raises Offline."""
        try:
            origins = list(find_origins(source, site, web))
        except Offline:
            raise
        except NoStatute as error:
            return self._fail(error)
        return self._import_each(origins, is_many=len(origins) > 1)

    def _find_new(self, site: Site) -> list[Origin]:
        """All of the site but what was retrieved today: so a run that was cut goes on where it stopped."""
        done = {card.slug for card in self._store.cards() if card.retrieved == self._today}
        return [origin for origin in site.list_all() if origin.slug not in done]

    def _import_each(self, origins: list[Origin], *, is_many: bool) -> int:
        failures = 0
        for place, origin in enumerate(origins):
            self._name, self._share = origin.name, (place, len(origins))
            try:
                self._import(origin)
            except Offline:
                raise
            except (NoStatute, BadStatute) as error:
                failures += self._fail(error, origin.name)
            except (OSError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
                failures += self._fail(NoStatute(f"it cannot be read: {error}"), origin.name)
        if is_many and origins:
            self._terminal.redraw("")
            self._terminal.print(f"{len(origins) - failures} of {len(origins)} are imported")
        return failures

    def _import(self, origin: Origin) -> None:
        """Raises NoStatute, BadStatute and OSError."""
        before = self._store.find_slug(origin.slug) if origin.slug else None
        self._tell(0, 0)
        fetched = origin.fetch(before.etag if before else "")
        if fetched.data is None and before:
            self._keep(before, before.etag)
            return
        data = fetched.data or b""
        if is_contents(data):
            raise NoStatute(f"it is a table of contents of {len(read_slugs(data))} statutes; give the address of the "
                            "site that it is from, ending in gii-toc.xml")
        for count in self._read(data, origin, fetched.etag):
            self._terminal.redraw("")
            self._terminal.print(count)

    def _read(self, data: bytes, origin: Origin, etag: str) -> Iterator[str]:
        """Stores each statute in `data`, and says so."""
        with open_files(data, origin.name) as files:
            for open_file in files:
                with open_file() as file:
                    law = read_law(file, slug=origin.slug, source=origin.source, retrieved=self._today, etag=etag)
                before = self._store.find_slug(law.slug)
                if before and law.built and before.built == law.built and before.source == law.source:
                    self._keep(before, etag)
                    continue
                self._store.put(law)
                yield f"{law.abbreviation}: {count_norms(len(law.norms))} imported ({law.title})"

    def _keep(self, card: LawCard, etag: str) -> None:
        self._store.renew(card, retrieved=self._today, etag=etag)
        self._terminal.redraw("")
        self._terminal.print(f"{card.abbreviation}: unchanged, {count_norms(card.size)}")

    def _tell(self, have: int, total: int) -> None:
        done, count = self._share
        part = have / total if total else 0.0
        draw(min((done + part) / count, 1.0), f"{self._name}, {have / 1e6:.1f} MB", self._terminal)

    def _fail(self, error: MoeError, name: str = "") -> int:
        self._terminal.redraw("")
        self._terminal.complain(f"{name}: {error.message}" if name else error.message)
        return 1


def count_norms(number: int) -> str:
    return f"{number} norm{'' if number == 1 else 's'}"
