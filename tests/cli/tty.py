"""A terminal to type at: a program runs on a pty of its own, and what it shows is waited for."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cli.house import HANG_S

CTRL_C, CTRL_D = "\x03", "\x04"
# The child makes the pty its controlling terminal, so that Ctrl-C becomes a signal as it does for a person.
_LAUNCH = ("import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
           "os.execv(sys.executable, [sys.executable, '-m', 'moe', *sys.argv[1:]])")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Tty:
    """Runs `python -m moe` with all of its streams, or those not given in `streams`, on a terminal."""

    def __init__(self, *words: str, env: Mapping[str, str], cwd: Path, **streams: Any) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 300, 0, 0))
        places = {"stdin": slave, "stdout": slave, "stderr": slave} | streams
        self.process = subprocess.Popen([sys.executable, "-c", _LAUNCH, *words], env=dict(env), cwd=cwd,
                                        start_new_session=True, **places)
        os.close(slave)
        self.raw = ""
        self._seen = 0

    @property
    def shown(self) -> str:
        """All that was ever shown, without what moves the cursor or colours the text."""
        return _CONTROL.sub("", self.raw)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, text: str) -> str:
        """What was shown since the last wait, up to and with `text`; raises TimeoutError."""
        until = time.monotonic() + HANG_S
        while (at := self.shown.find(text, self._seen)) < 0:
            left = until - time.monotonic()
            if left <= 0 or not self._read(left):
                raise TimeoutError(f"{text!r} was not shown, but {self.shown[self._seen:]!r}")
        since, self._seen = self.shown[self._seen:at + len(text)], at + len(text)
        return since

    def interrupt(self, shown: str) -> None:
        """Presses Ctrl-C until `shown` appears: one that comes just before readline waits is noticed only later."""
        until = time.monotonic() + HANG_S
        while self.shown.find(shown, self._seen) < 0 and time.monotonic() < until:
            self.type(CTRL_C)
            while self._read(2.0) and self.shown.find(shown, self._seen) < 0:
                continue
        self.wait_for(shown)

    def wait_for_end(self) -> int:
        """The exit code, once all that is shown was read."""
        while self._read(HANG_S):
            pass
        return self.process.wait(HANG_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def __enter__(self) -> Tty:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, timeout_s: float) -> bool:
        """False at the end, when nobody has the terminal open any more."""
        if not select.select([self._master], [], [], timeout_s)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # how Linux tells the end of a pty
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)
