"""The process that solves, seen from the server: started when first needed, ended when it takes too long."""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from ...config.settings import ROOT
from ...errors import ToolError, ToolTimeout

log = logging.getLogger("moe.tools")

LIMIT_S = 1.5
START_S = 20.0
LONGEST_ANSWER = 1_000_000
# So much of its time may a task wait for others.
MOST_WAITED = 0.6
TOO_LONG = "this takes too long to work out"
BUSY = "the solver is busy with other tasks"


class _Queue:
    """Lets one in at a time, whoever came first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._is_taken = False

    def enter(self, limit_s: float | None = None) -> bool:
        """Whether it came to its turn in time."""
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return True
            turn = threading.Event()
            self._waiting.append(turn)
        if turn.wait(limit_s):
            return True
        with self._lock:
            if turn.is_set():
                return True
            self._waiting.remove(turn)
            return False

    def leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._is_taken = False

    def __enter__(self) -> None:
        self.enter()

    def __exit__(self, *_: object) -> None:
        self.leave()


class Worker:
    """A Solver with one process, which serves one task at a time. Thread-safe; `close` ends it for good."""

    def __init__(self, *, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._gate = _Queue()
        self._child: subprocess.Popen[bytes] | None = None
        self._is_starting = False
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        child = self._child
        return child.pid if child else None

    def solve(self, task: str, arguments: Mapping[str, Any]) -> Any:
        """Raises ToolError, and ToolTimeout after `limit_s`, in which the time it takes to start is not counted; who
        waits for others until little of that is left is told so, and ends nobody's process."""
        deadline = time.monotonic() + self._limit_s
        if not self._enter():
            raise ToolTimeout(BUSY)
        try:
            begun = time.monotonic()
            deadline = max(deadline, begun + self._limit_s * (1 - MOST_WAITED))
            sent = msgspec.json.encode({"task": task, "arguments": arguments}) + b"\n"
            child = self._hand_over(sent)
            deadline += time.monotonic() - begun
            return self._await(child, deadline)
        finally:
            self._gate.leave()

    def _enter(self) -> bool:
        """Whether it came to its turn; one that the process's start is waited for is patient."""
        return self._gate.enter(self._limit_s * MOST_WAITED) or (self._is_starting and self._gate.enter(START_S))

    def warm(self) -> None:
        """Starts the process, so that the first task need not wait for it."""
        with self._gate:
            self._ready()

    def _warm_again(self) -> None:
        try:
            self.warm()
        except ToolError as error:
            log.info("the solver was not started again: %s", error)

    def close(self) -> None:
        """Ends the process, at once even if it is at work."""
        self._closed = True
        child = self._child
        if child is not None:
            child.kill()
        with self._gate:
            self._end()

    def _ready(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise ToolError("the solver has ended")
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._end()
        self._is_starting = True
        try:
            return self._begin()
        finally:
            self._is_starting = False

    def _begin(self) -> subprocess.Popen[bytes]:
        try:
            self._child = _start()
        except OSError as error:
            raise ToolError(f"the solver cannot be started: {error.strerror}") from error
        if _read_line(self._child, time.monotonic() + START_S) != b"ready":
            self._end()
            raise ToolError("the solver cannot be started")
        if self._closed:
            self._end()
            raise ToolError("the solver has ended")
        return self._child

    def _hand_over(self, sent: bytes) -> subprocess.Popen[bytes]:
        """The process that has the task; one that somebody ended while it was idle is replaced."""
        child = self._ready()
        try:
            _write(child, sent)
        except OSError:
            self._end()
            child = self._ready()
            try:
                _write(child, sent)
            except OSError as error:
                raise ToolError("the solver cannot be reached") from error
        return child

    def _await(self, child: subprocess.Popen[bytes], deadline: float) -> Any:
        try:
            line = _read_line(child, deadline)
        except OSError:
            line = b""
        if line is None:
            self._end()
            threading.Thread(target=self._warm_again, name="solver", daemon=True).start()
            raise ToolTimeout(TOO_LONG)
        try:
            told = msgspec.json.decode(line)
        except msgspec.DecodeError:
            log.info("the solver ended without an answer")
            self._end()
            raise ToolError("this cannot be worked out within the memory allowed") from None
        if "error" in told:
            raise ToolError(str(told["error"]))
        return told["done"]

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "moe.tools.equations.solving"], cwd=ROOT, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)


def _write(child: subprocess.Popen[bytes], sent: bytes) -> None:
    """The child reads whenever it is idle, so this does not wait."""
    if child.stdin is not None:
        child.stdin.write(sent)
        child.stdin.flush()


def _read_line(child: subprocess.Popen[bytes], deadline: float) -> bytes | None:
    """None where none comes in time; short of its end where the process ended."""
    if child.stdout is None:
        return b""
    reach, said = child.stdout.fileno(), bytearray()
    poll = select.poll()
    poll.register(reach, select.POLLIN)
    while not said.endswith(b"\n"):
        left_ms = (deadline - time.monotonic()) * 1000
        if left_ms <= 0 or not poll.poll(left_ms):
            return None
        got = os.read(reach, 65536)
        said += got
        if not got or len(said) > LONGEST_ANSWER:
            return b""
    return bytes(said).strip()
