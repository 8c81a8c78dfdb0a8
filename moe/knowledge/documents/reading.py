"""The program that reads one file: `python -m moe.knowledge.documents.reading`.

It takes its Limits as one line of JSON and then the file, and prints `{"text": …}` or `{"fault": …}`. It can neither
reach a network, nor start a program, nor write a file, and memory and time end with its limits.
"""

from __future__ import annotations

import importlib
import logging
import signal
import sys
from contextlib import suppress
from typing import Any

import msgspec

from .kinds import tell_kind
from .pages import Limits, Pages, Unreadable

SPARE_S = 5
_FORBIDDEN = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "ctypes.",
              "shutil.", "urllib.", "http.client", "ftplib.", "smtplib.")


def main() -> int:
    limits = msgspec.json.decode(sys.stdin.buffer.readline(), type=Limits)
    _confine(limits)
    told: dict[str, Any]
    try:
        told = _read(sys.stdin.buffer.read(), limits)
    except MemoryError:
        told = {"fault": f"takes more memory to read than the {limits.memory_bytes >> 20} MB that it may have"}
    except RecursionError:
        told = {"fault": "is nested too deeply to be read"}
    sys.stdout.buffer.write(msgspec.json.encode(told))
    return 0


def _read(data: bytes, limits: Limits) -> dict[str, Any]:
    """A parser's own exceptions are without number, and each means that the file is broken."""
    kind = "file"
    try:
        kind = tell_kind(data)
        return {"text": importlib.import_module(f".{kind}", __package__).read(data, Pages(limits))}
    except Unreadable as error:
        return {"fault": str(error)}
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # noqa: BLE001 - told to the client as a broken file, and to the log by its name
        return {"fault": f"is damaged: it cannot be read as {_CALLED.get(kind, kind)}", "detail": type(error).__name__}


_CALLED = {"pdf": "PDF", "word": "a Word file", "sheets": "an Excel file", "slides": "a PowerPoint file",
           "html": "HTML", "plain": "text"}


def _confine(limits: Limits) -> None:
    logging.disable()  # parsers quote what they do not understand
    sys.modules |= {"numpy": None}  # type: ignore[dict-item]  # openpyxl takes it where it is, and it takes much
    if hasattr(signal, "alarm"):  # whoever waits for it may be gone by then
        signal.alarm(limits.cpu_s + SPARE_S)
    with suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - Unix only

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s))
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(_FORBIDDEN) and event not in ("socket.__new__", "ctypes.dlsym", "ctypes.dlopen"):
        raise PermissionError(f"{event} is not allowed here")


if __name__ == "__main__":
    sys.exit(main())
