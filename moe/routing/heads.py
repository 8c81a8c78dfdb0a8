"""Which head serves: one from disk at once, else one that a process of its own fits while the router serves without."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from ..config import Config, Settings
from ..embed import Embedder
from .fitting import Fitting
from .head import Head, load_head
from .router import Router, find_routable
from .rows import Task, find_file, gather_rows

KEPT = 4
POLL_S = 0.1
FITTING = "the scorer is being fitted; until then the four-signal score serves"

log = logging.getLogger(__name__)


class Heads:
    """Fits one head at a time. The router that came last is the one that is served."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._fitting: Fitting | None = None
        self._router: Router | None = None
        self._key = ""
        self._is_closed = False

    def serve(self, router: Router, task: Task, *, dimension: int) -> None:
        """Gives `router` the task's head, now or when it is fitted; `router.note` says which."""
        head = open_head(task, dimension=dimension) if task.labels else None
        with self._gate:
            if head is None and self._fitting is not None and self._key == task.key:
                self._router = router  # a reload that changes nothing of it, such as of a port
                router.tell(FITTING)
                return
            self._stop()
            if head is not None:
                router.adopt(head)
            elif task.labels and not self._is_closed:
                self._begin(router, task, dimension=dimension)

    def wait(self, told: Callable[[float, str], None]) -> None:
        """Until nothing is being fitted; `told` hears how far it is, several times a second."""
        while (fitting := self._fitting) is not None and not fitting.over.wait(POLL_S):
            told(fitting.share, fitting.step)

    def close(self) -> None:
        with self._gate:
            self._is_closed = True
            self._stop()

    def _begin(self, router: Router, task: Task, *, dimension: int) -> None:
        try:
            self._fitting = Fitting(task, lambda problem: self._finish(task, problem, dimension=dimension))
        except OSError as error:
            _complain(router, f"no process can be started: {error}")
            return
        self._router, self._key = router, task.key
        router.tell(FITTING)

    def _stop(self) -> None:
        if self._fitting is not None:
            self._fitting.stop()
        self._fitting, self._router, self._key = None, None, ""

    def _finish(self, task: Task, problem: str, *, dimension: int) -> None:
        head = None if problem else open_head(task, dimension=dimension)
        with self._gate:
            router = self._router
            if router is None or self._key != task.key:
                return  # another task came meanwhile
            self._fitting, self._router, self._key = None, None, ""
            if head is None:
                _complain(router, problem or "what was fitted cannot be read")
                return
            router.adopt(head)
        log.info("the scorer is fitted: %d experts, %d rows", len(task.labels), len(task.rows))
        _prune(find_file(task).parent)


def make_task(config: Config, embedder: Embedder, settings: Settings, *, model_path: str | None) -> Task:
    """The fit for a config; `model_path` is what `embedder` was opened by."""
    experts = find_routable(config.experts)
    return Task(
        labels=tuple(expert.label for expert in experts), rows=gather_rows(experts, config.examples),
        fingerprint=embedder.fingerprint, model_path=model_path, models_folder=str(settings.models_folder),
        data_folder=str(settings.data_folder),
    )


def open_head(task: Task, *, dimension: int) -> Head | None:
    """The task's head where one is on disk and whole."""
    try:
        return load_head(find_file(task), experts=len(task.labels), dimension=dimension)
    except ValueError as error:
        log.warning("%s; making it anew", error)
        return None


def _complain(router: Router, problem: str) -> None:
    router.tell(f"the four-signal score serves, for no scorer could be fitted: {problem}")
    log.warning("no scorer could be fitted (%s); the four-signal score serves", problem)


def _prune(folder: Path) -> None:
    """Removes all but the newest few heads."""
    try:
        files = sorted(folder.glob("*.npz"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files[KEPT:]:
            file.unlink(missing_ok=True)
    except OSError as error:
        log.warning("old heads cannot be removed from %s: %s", folder, error)
