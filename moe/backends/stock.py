"""What models are kept as beside the Ollamas: names made here, files fetched or sent."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..aliases import Alias, Aliases
from ..config import Settings
from ..errors import Unavailable
from ..log import clean
from .blobs import Blobs
from .downloads import Downloads

log = logging.getLogger("moe.manage")


class Stock(NamedTuple):
    """What outlives a change of the config."""

    aliases: Aliases
    downloads: Downloads
    blobs: Blobs
    models_folder: Path

    @classmethod
    def open(cls, settings: Settings) -> Stock:
        """Nothing is read yet: `aliases.load()` does that."""
        return cls(Aliases(settings.data_folder / "aliases.json"), Downloads(settings.models_folder),
                   Blobs(settings.data_folder / "blobs"), settings.models_folder)

    def fetched(self) -> dict[str, str]:
        """The files that came from a hub, by their origin; without those that a name of another origin uses too."""
        origins: dict[str, set[str]] = {}
        for alias in self.aliases.entries():
            if alias.file:
                origins.setdefault(alias.file, set()).add(alias.origin)
        return {origin: file for file, found in origins.items() if len(found) == 1 for origin in found if origin}

    def forget(self, gone: Iterable[Alias]) -> None:
        """Takes the aliases out, and what only they used. Raises Unavailable."""
        gone = list(gone)
        self.aliases.remove(alias.name for alias in gone)
        self.clear(alias.file for alias in gone)

    def clear(self, files: Iterable[str]) -> None:
        """Deletes those of the `files`, which this server put there, that nothing is called by any more. Raises
        Unavailable."""
        used = {alias.file for alias in self.aliases.entries()}
        for file in set(filter(None, files)) - used:
            try:
                (self.models_folder / Path(file).name).unlink(missing_ok=True)
            except OSError as error:
                raise Unavailable(f"{file} cannot be deleted: {error.strerror or error}") from error
            log.info("deleted %s", clean(file))
