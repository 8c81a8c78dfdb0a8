"""The process that solves: a task a line on its standard input, an answer a line on its output, until the input ends.

Run by `worker.py` as `python -m moe.tools.equations.solving`; sympy is imported nowhere but here and beside it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

import mpmath
import msgspec
import sympy

from .roots import DIGITS, Unsolved, solve

MEMORY_BYTES = 1 << 30
# Whoever asked has given up long before; this ends a task whose asker was killed.
ORPHAN_S = 30


def factorize(number: str) -> list[list[str]]:
    found = sympy.factorint(int(number))
    return [[str(prime), str(power)] for prime, power in sorted(found.items())]


TASKS: dict[str, Callable[..., Any]] = {"solve": solve, "factorize": factorize}


def answer(line: bytes) -> dict[str, Any]:
    told = msgspec.json.decode(line)
    try:
        return {"done": TASKS[told["task"]](**told["arguments"])}
    except Unsolved as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "this cannot be worked out within the memory allowed"}
    except Exception as error:  # noqa: BLE001 - sympy raises anything; the next task must still be served
        return {"error": f"this equation cannot be solved here ({type(error).__name__})"}


def main() -> None:
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    mpmath.mp.dps = DIGITS + 5
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a library prints must not come between the answers.
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    out.write(b"ready\n")
    for line in sys.stdin.buffer:
        signal.alarm(ORPHAN_S)
        out.write(msgspec.json.encode(answer(line)) + b"\n")
        signal.alarm(0)


if __name__ == "__main__":
    main()
