"""How the drivers of whole programs run one, in an empty folder with a file that only its tools can read."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import kit

NODE_MODULES = Path(kit.PLAN["home"]) / "node_modules"
SECRET = "the cake is made of marzipan"
FILE = Path.home() / "secret.txt"
CALL_S = 75
KEPT = 400


def call(*words: str, is_fine: bool = True, **environment: str) -> str:
    """What the program wrote, its complaints too."""
    FILE.write_text(SECRET, encoding="utf-8")
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=CALL_S, cwd=Path.home(), env={**os.environ, **environment})
    kit.holds((done.returncode == 0) is is_fine, f"ended with {done.returncode}: {done.stdout[-KEPT:]}")
    return done.stdout


def order(tool: str, **arguments: str) -> str:
    """A prompt at which the model calls this tool."""
    return f"please call {tool} with {json.dumps(arguments)} now"
