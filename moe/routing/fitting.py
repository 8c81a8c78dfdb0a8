"""The process that fits a head, seen from the one that wants it: no scikit-learn here, and no wait."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

import msgspec

from ..config.settings import ROOT
from .rows import Task

SILENT = "the fitting process ended without a word"


class Fitting:
    """A child process at work on one task: `share` of it is done, it is at `step`, and `over` is set when it ended.

    `finish` is called from another thread with "" or with what went wrong, but never after `stop`.
    """

    def __init__(self, task: Task, finish: Callable[[str], None]) -> None:
        self.share = 0.0
        self.step = "starting"
        self.over = threading.Event()
        self._task = task
        self._finish = finish
        self._is_stopped = False
        self._child = subprocess.Popen(
            [sys.executable, "-m", "moe.routing.fit"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        threading.Thread(target=self._follow, name="fit", daemon=True).start()

    def stop(self) -> None:
        """Ends the child and waits for its end."""
        self._is_stopped = True
        self._child.kill()
        self._child.wait()

    def _follow(self) -> None:
        stdin, stdout = self._child.stdin, self._child.stdout
        try:
            problem = self._talk(stdin, stdout) if stdin is not None and stdout is not None else SILENT
            if not self._is_stopped:
                self._finish(problem)
        finally:
            self.over.set()

    def _talk(self, stdin: IO[bytes], stdout: IO[bytes]) -> str:
        """What went wrong, "" when the head is written. The child takes the end of its input as its own."""
        last = SILENT
        with self._child:
            try:
                stdin.write(msgspec.json.encode(self._task) + b"\n")
                stdin.flush()
            except OSError:
                return last
            for line in stdout:
                told = _read(line)
                if "done" in told:
                    return ""
                if "error" in told:
                    return str(told["error"])
                self.share, self.step = told.get("share", self.share), told.get("step", self.step)
                last = last if told else line.decode("utf-8", "replace").strip() or last
        return last


def _read(line: bytes) -> dict[str, Any]:
    """{} for what is none of the child's messages: the last such line tells why it failed."""
    try:
        told = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {}
    return told if isinstance(told, dict) else {}
