"""The process that fits a head, seen from the one that wants it: no scikit-learn here, and no wait."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from ..config.settings import ROOT
from .rows import Task

SILENT = "the fitting process ended without a word"
# A process that was killed, as for want of memory, is started again after so many seconds.
PAUSES_S = (5.0, 30.0)

log = logging.getLogger(__name__)


class Fitted(NamedTuple):
    """What came of a fit: a `problem`, or else the head in its place, or in `file` where that cannot be written, for
    the reason in `unkept`. The file is its reader's to remove."""

    problem: str = ""
    file: Path | None = None
    unkept: str = ""


class Fitting:
    """A child process at work on one task: `share` of it is done, it is at `step`, and `over` is set when it ended.

    `finish` is called from another thread with what came of it, but never after `stop`.
    """

    def __init__(self, task: Task, finish: Callable[[Fitted], None], *, pauses_s: tuple[float, ...] = PAUSES_S) -> None:
        """Raises OSError when no process can be started."""
        self.share = 0.0
        self.step = "starting"
        self.over = threading.Event()
        self._task = task
        self._finish = finish
        self._pauses_s = pauses_s
        self._stopped = threading.Event()
        self._gate = threading.Lock()
        self._child = _start()
        threading.Thread(target=self._follow, name="fit", daemon=True).start()

    def stop(self) -> None:
        """Ends the child and waits for its end."""
        with self._gate:
            self._stopped.set()
            self._child.kill()
        self._child.wait()

    def _follow(self) -> None:
        try:
            fitted = self._talk_on()
            if not self._stopped.is_set():
                self._finish(fitted)
            elif fitted.file is not None:
                fitted.file.unlink(missing_ok=True)
        finally:
            self.over.set()

    def _talk_on(self) -> Fitted:
        """With one child after the other as long as they are killed."""
        fitted = self._talk(self._child)
        for pause_s in self._pauses_s:
            if not fitted.problem or not _was_killed(fitted, self._child) or self._stopped.is_set():
                break
            self.step = f"again in {pause_s:g} s, for {fitted.problem}"
            log.warning("%s (%s); it starts again in %g s", fitted.problem, self._child.returncode, pause_s)
            if self._stopped.wait(pause_s):
                break
            with self._gate:
                if self._stopped.is_set():
                    break
                try:
                    self._child = _start()
                except OSError as error:
                    return Fitted(f"no process can be started: {error}")
            fitted = self._talk(self._child)
        return fitted

    def _talk(self, child: subprocess.Popen[bytes]) -> Fitted:
        """What the child says. It takes the end of its input as its own."""
        last = SILENT
        stdin, stdout = child.stdin, child.stdout
        with child:
            if stdin is None or stdout is None or not _send(self._task, stdin):
                return Fitted(last)
            for line in stdout:
                told = _read(line)
                if "done" in told:
                    return Fitted(file=Path(told["file"]) if told.get("file") else None, unkept=told.get("unkept", ""))
                if "error" in told:
                    return Fitted(str(told["error"]))
                self.share, self.step = max(self.share, told.get("share", 0.0)), told.get("step", self.step)
                last = last if told else line.decode("utf-8", "replace").strip() or last
        return Fitted(last if child.returncode >= 0 else SILENT)


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "moe.routing.fit"], cwd=ROOT, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _send(task: Task, stdin: IO[bytes]) -> bool:
    try:
        stdin.write(msgspec.json.encode(task) + b"\n")
        stdin.flush()
    except OSError:
        return False
    return True


def _was_killed(fitted: Fitted, child: subprocess.Popen[bytes]) -> bool:
    return fitted.problem == SILENT or child.returncode < 0


def _read(line: bytes) -> dict[str, Any]:
    """{} for what is none of the child's messages: the last such line tells why it failed."""
    try:
        told = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {}
    return told if isinstance(told, dict) else {}
