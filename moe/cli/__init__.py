"""`python -m moe`: a prompt through a pipe, a chat on a terminal, and the tools around the router."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from ..dialects.wire import explain
from ..errors import ConfigError, MoeError
from .options import Misuse, parse
from .terminal import Terminal

INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """The exit code: 0 done, 1 failed, 2 misused or a refused config, 130 interrupted."""
    _mend_streams()
    terminal = Terminal()
    try:
        options = parse(arguments)
        # Each command is imported only when it runs: a client of a running server needs no router and no encoder.
        code = int(import_module(f".{options.runs}", __package__).run(options, terminal))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read the answer has had enough of it. What is left must not be flushed into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except (Misuse, ConfigError) as error:
        terminal.complain(str(error))
        return 2
    except MoeError as error:
        terminal.complain(explain(error))
        return 1
    except OSError as error:
        terminal.complain(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
        return 1


def _mend_streams() -> None:
    """Standard streams that were closed lead nowhere; what an encoding cannot write becomes a question mark."""
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115 - open as long as the process
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
