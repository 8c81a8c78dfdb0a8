"""Which head serves: one from disk at once, else one that a process of its own fits while the former one serves, or the
four signals."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ..config import Config, Settings
from ..embed import Embedder, find_quick
from .fitting import PAUSES_S, Fitted, Fitting
from .head import Head, choose, load_head
from .router import Router, find_routable
from .rows import Task, find_file, gather_rows

KEPT = 20
IN_USE_S = 86_400.0
POLL_S = 0.1
FEWEST_EXAMPLES = 5
FOUR_SIGNALS = "the four-signal score"

log = logging.getLogger(__name__)


class Former(NamedTuple):
    """The head that was fitted last, what for, and by which encoder's vectors."""

    key: str
    labels: tuple[str, ...]
    encoder: tuple[str, str]
    head: Head


class Heads:
    """Fits one head at a time. The router that came last is the one that is served."""

    def __init__(self, *, pauses_s: tuple[float, ...] = PAUSES_S) -> None:
        """`pauses_s`: how long to wait before a process that was killed is started again, each time."""
        self._gate = threading.Lock()
        self._pauses_s = pauses_s
        self._fitting: Fitting | None = None
        self._router: Router | None = None
        self._key = ""
        self._former: Former | None = None
        self._is_closed = False

    def serve(self, router: Router, task: Task, *, embedder: Embedder) -> None:
        """Gives `router` the task's head, now or when it is fitted; `router.note` says which. Until then the former
        head serves, as far as it knows the experts."""
        head = (open_head(task, embedder=embedder) or self.find(task)) if task.labels else None
        with self._gate:
            if head is None and self._fitting is not None and self._key == task.key:
                self._router = router  # a reload that changes nothing of it, such as of a port
                self._bridge(router, task)
                return
            self._stop()
            if head is not None:
                self._give(head, router, task)
            elif task.labels and not self._is_closed:
                self._begin(router, task, embedder=embedder)

    def find(self, task: Task) -> Head | None:
        """The head that was given for the task, if that was the last one: it may not be on disk."""
        former = self._former
        return former.head if former is not None and former.key == task.key else None

    def wait(self, told: Callable[[float, str], None]) -> None:
        """Until nothing is being fitted; `told` hears how far it is, several times a second."""
        while (fitting := self._fitting) is not None and not fitting.over.wait(POLL_S):
            told(fitting.share, fitting.step)

    def close(self) -> None:
        with self._gate:
            self._is_closed = True
            self._stop()

    def _begin(self, router: Router, task: Task, *, embedder: Embedder) -> None:
        stand_in = self._bridge(router, task)
        try:
            self._fitting = Fitting(task, lambda fitted: self._finish(task, fitted, embedder=embedder),
                                    pauses_s=self._pauses_s)
        except OSError as error:
            _complain(router, f"no process can be started: {error}", stand_in)
            return
        self._router, self._key = router, task.key

    def _bridge(self, router: Router, task: Task) -> str:
        """Has the former head serve meanwhile, where it can. Returns the words for what does."""
        former, stand_in = self._former, FOUR_SIGNALS
        if former is not None and former.encoder == _name_encoder(task) and set(former.labels) & set(task.labels):
            places = {label: place for place, label in enumerate(former.labels)}
            router.adopt(choose(former.head, [places.get(label) for label in task.labels]))
            new = ", ".join(label for label in task.labels if label not in places)
            stand_in = "the former one" + (f", which does not know {new}," if new else "")
        router.tell(f"the scorer is being fitted; until then {stand_in} serves")
        return stand_in

    def _stop(self) -> None:
        if self._fitting is not None:
            self._fitting.stop()
        self._fitting, self._router, self._key = None, None, ""

    def _finish(self, task: Task, fitted: Fitted, *, embedder: Embedder) -> None:
        head = None if fitted.problem else open_head(task, embedder=embedder, file=fitted.file)
        if fitted.file is not None:
            fitted.file.unlink(missing_ok=True)
        with self._gate:
            router = self._router
            if router is None or self._key != task.key:
                return  # another task came meanwhile
            self._fitting, self._router, self._key = None, None, ""
            if head is None:
                _complain(router, fitted.problem or "what was fitted cannot be read", self._bridge(router, task))
                return
            self._give(head, router, task)
            if fitted.unkept:
                router.tell(f"the scorer is fitted at each start, for it cannot be kept: {fitted.unkept}")
                log.warning("the fitted scorer cannot be kept: %s", fitted.unkept)
        log.info("the scorer is fitted: %d experts, %d rows", len(task.labels), len(task.rows))
        _prune(find_file(task).parent)

    def _give(self, head: Head, router: Router, task: Task) -> None:
        router.adopt(head)
        self._former = Former(task.key, task.labels, _name_encoder(task), head)


def make_task(config: Config, embedder: Embedder, settings: Settings, *, model_path: str | None) -> Task:
    """The fit for a config; `model_path` is what `embedder` was opened by."""
    experts, quick = find_routable(config.experts), find_quick(embedder)
    return Task(
        labels=tuple(expert.label for expert in experts), rows=gather_rows(experts, config.examples),
        fingerprint=embedder.fingerprint, quick=quick.embedder.name if quick is not None else "",
        model_path=model_path, models_folder=str(settings.models_folder), data_folder=str(settings.data_folder),
    )


def tell_guesses(config: Config) -> str:
    """Words on the experts that have too few examples for their probabilities to be measured, "" for none."""
    if config.router.scorer != "hybrid":
        return ""
    few = [expert.label for expert in find_routable(config.experts)
           if len(config.examples.get(expert.label, ())) < FEWEST_EXAMPLES]
    return f"confidences are a guess for: {', '.join(few)} (fewer than {FEWEST_EXAMPLES} examples)" if few else ""


def open_head(task: Task, *, embedder: Embedder, file: Path | None = None) -> Head | None:
    """The task's head where one is on disk and whole: in `file`, else in its own place."""
    quick, file = find_quick(embedder), file or find_file(task)
    try:
        head = load_head(file, experts=len(task.labels), dimension=embedder.dimension,
                         quick=quick.embedder.dimension if quick is not None else 0)
    except ValueError as error:
        log.warning("%s; making it anew", error)
        return None
    if head is not None:
        with suppress(OSError):  # in a folder that cannot be written nothing is removed either
            os.utime(file)
    return head


def _name_encoder(task: Task) -> tuple[str, str]:
    return task.fingerprint, task.quick


def _complain(router: Router, problem: str, stand_in: str) -> None:
    router.tell(f"{stand_in} serves, for no scorer could be fitted: {problem}", is_faulty=True)
    log.warning("no scorer could be fitted (%s); %s serves", problem, stand_in)


def _prune(folder: Path) -> None:
    """Removes all but the few heads that were used last, and none that was within a day."""
    try:
        used = sorted(((file.stat().st_mtime, file) for file in folder.glob("*.npz")), reverse=True)
        for when, file in used[KEPT:]:
            if when < time.time() - IN_USE_S:
                file.unlink(missing_ok=True)
    except OSError as error:
        log.warning("old heads cannot be removed from %s: %s", folder, error)
