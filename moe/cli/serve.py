"""The server, in the place of this process."""

from __future__ import annotations

import argparse
import os
import sys

from ..config.settings import ROOT
from .terminal import Terminal


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Becomes app.py, which keeps the process id and gets every signal itself; returns only by an error."""
    said = [(f"--{name}", getattr(options, name)) for name in ("host", "port", "config", "data")]
    words = [word for flag, value in said if value is not None for word in (flag, str(value))]
    os.execv(sys.executable, [sys.executable, str(ROOT / "app.py"), *words])
