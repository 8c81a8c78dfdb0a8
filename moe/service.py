"""One serving process: reads the config, builds the gateway, and builds a new one when the files change."""

from __future__ import annotations

import gc
import logging
import shutil
import threading
from pathlib import Path

from .backends.engine import Engine
from .backends.machine import give_back
from .backends.queues import Queues
from .backends.shelf import Shelf
from .backends.stock import Stock
from .build import build_gateway
from .config import Config, Settings, read_config
from .config.settings import ROOT
from .embed import Encoders
from .errors import ConfigError
from .metrics import Statistics
from .pipeline.callers import CallerMemory
from .pipeline.gateway import Gateway
from .pipeline.standing import Standing
from .routing.heads import Heads
from .store import Laws, NotStored, Requests, Responses, Scores
from .tools.equations.worker import Worker
from .upstreams import Address
from .web.guard import Guard

log = logging.getLogger("moe.service")

WATCH_EVERY_S = 1.0
Stamp = tuple[tuple[str, int, int], ...]


class Service:
    """Holds the current gateway and guard; a reload swaps both references, streams under way keep the old."""

    def __init__(self, settings: Settings) -> None:
        """Makes missing config files from the examples and reads them. Raises ConfigError."""
        self.settings = settings
        copy_examples(settings.config_folder)
        self.config: Config = read_config(settings.config_folder)
        self._stamp = _stamp(self.config.files)
        self._own: Address | None = None
        self._engine = Engine()
        self._encoders = Encoders(settings.models_folder)
        self.heads = Heads()
        self._shelf = Shelf(self.config.memory)
        self._statistics = Statistics(settings.data_folder / "models.json")
        self._stock = Stock.open(settings)
        self.responses = Responses(settings.data_folder / "moe.sqlite")
        self.requests = Requests(settings.data_folder / "moe.sqlite")
        self._standing = Standing(Scores(settings.data_folder / "moe.sqlite"))
        self._laws = Laws(settings.data_folder / "laws.sqlite")
        self._queues = Queues()
        self._callers = CallerMemory()
        self._solver = Worker()
        self._gateway: Gateway | None = None
        self._guard: Guard | None = None
        self._reloading = threading.Lock()
        self._ended = threading.Event()

    @property
    def host(self) -> str:
        return self.settings.host or self.config.server.host

    @property
    def port(self) -> int:
        return self.config.server.port if self.settings.port is None else self.settings.port

    def gateway(self) -> Gateway:
        if self._gateway is None:
            raise RuntimeError("the service was not started")
        return self._gateway

    def guard(self) -> Guard:
        if self._guard is None:
            raise RuntimeError("the service was not started")
        return self._guard

    def start(self, *, own: Address | None = None) -> None:
        """Builds everything; `own` is the address listened on. Raises ConfigError."""
        self._own = own
        for warning in self.config.warnings:
            log.warning("%s", warning)
        for problem in filter(None, (self._statistics.load(), self._stock.aliases.load())):
            log.warning("%s", problem)
        self._adopt(self.config)
        self._statistics.start()
        self.requests.start()
        self._standing.start()

    def watch(self) -> None:
        """Reloads whenever a config file changes, from a thread of its own until `close`."""
        threading.Thread(target=self._watch, name="config", daemon=True).start()

    def reload(self) -> bool:
        """Reads the files anew. False when they are refused: then all stays as it was and the log says why."""
        with self._reloading:
            self._stamp = _stamp(self.config.files)
            try:
                config = read_config(self.settings.config_folder)
                self._adopt(config)
            except ConfigError as error:
                for problem in error.problems:
                    log.error("config not reloaded: %s", problem)
                return False
            for warning in config.warnings:
                log.warning("%s", warning)
            self._warn_of_lasting(config)
            self.config = config
            log.info("config reloaded: %d experts", len(config.experts))
            return True

    def close(self) -> None:
        self._ended.set()
        self.heads.close()
        self._stock.downloads.close()
        self.requests.close()
        self._standing.close()
        self.responses.close()
        self._laws.close()
        self._statistics.close()
        self._engine.close()
        self._shelf.close()
        self._solver.close()

    def _adopt(self, config: Config) -> None:
        guard = Guard(config.server, config.rate_limit, host=self.host, hosts=self.settings.hosts)
        gateway = build_gateway(
            config, self.settings, engine=self._engine, encoders=self._encoders, heads=self.heads,
            shelf=self._shelf, statistics=self._statistics, stock=self._stock, queues=self._queues,
            callers=self._callers, solver=self._solver, laws=self._laws, standing=self._standing,
            own=self._own,
        )
        if self._guard is not None:
            guard.succeed(self._guard)
        old, self._guard, self._gateway = self._gateway, guard, gateway
        if old is not None:
            old.retire()
            del old
            gc.collect()  # a gateway is full of circles, and the next reload should not find the last one still there
            give_back()
        self._shelf.resize(config.memory)
        self._allow_text(config.privacy.keep_text)

    def _allow_text(self, is_allowed: bool) -> None:
        """What was kept while it was allowed does not outlive the permission."""
        try:
            count = self.requests.keep_text(is_allowed)
        except NotStored:
            log.error("what was said in former requests cannot be deleted; it stays in the data folder")
        else:
            if count:
                log.info("privacy.keep_text is off: the text of %d requests is deleted", count)
        if not is_allowed:
            self._forget_responses()

    def _forget_responses(self) -> None:
        try:
            count = self.responses.clear()
        except NotStored:
            log.error("what was kept of former responses cannot be deleted; it stays in the data folder")
        else:
            if count:
                log.info("privacy.keep_text is off: %d kept responses are deleted", count)

    def _warn_of_lasting(self, config: Config) -> None:
        for name in ("host", "port", "threads", "max_body_bytes_media", "max_upload_bytes"):
            if getattr(config.server, name) != getattr(self.config.server, name):
                log.warning("server.%s takes effect at the next start", name)

    def _watch(self) -> None:
        while not self._ended.wait(WATCH_EVERY_S):
            for node in self.gateway().catalog.all_nodes():
                node.transport.reap()
            if _stamp(self.config.files) != self._stamp:
                self.reload()


def copy_examples(folder: Path) -> list[Path]:
    """Makes config.json and experts.json from the shipped examples where they are missing. Returns the new ones.

    Raises ConfigError when the folder cannot be written.
    """
    made = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("config", "experts"):
            target = folder / f"{name}.json"
            example = folder / f"{name}.example.json"
            if not target.exists() and (name == "config" or not _names_experts(folder)):
                shutil.copyfile(example if example.exists() else ROOT / "config" / example.name, target)
                made.append(target)
    except OSError as error:
        raise ConfigError((f"{folder}: cannot be prepared: {error}",)) from error
    return made


def _names_experts(folder: Path) -> bool:
    """Whether config.json says itself where the experts are; what it names is the user's to provide."""
    try:
        text = (folder / "config.json").read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return False
    return '"categories_file"' in text and '"config/experts.json"' not in text


def _stamp(files: tuple[Path, ...]) -> Stamp:
    stamps = []
    for file in files:
        try:
            found = file.stat()
            stamps.append((str(file), found.st_mtime_ns, found.st_size))
        except OSError:
            stamps.append((str(file), 0, 0))
    return tuple(stamps)
