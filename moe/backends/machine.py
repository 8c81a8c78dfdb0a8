"""What this machine has: free memory and cores, within a container too; and giving memory back to it."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_CONTAINER = Path("/sys/fs/cgroup")
_SYSTEM = Path("/proc/meminfo")


def free_bytes(system: Path = _SYSTEM, container: Path = _CONTAINER) -> int:
    """What could be taken without swapping: the kernel's own estimate, or what a container's limit leaves.

    Where the kernel tells none (macOS), half of the machine's memory.
    """
    named = _read_table(system)
    free = named["MemAvailable"] * 1024 if "MemAvailable" in named else _installed_bytes() // 2
    limit = _read_number(container / "memory.max")
    if limit is None:
        return free
    used = _read_number(container / "memory.current") or 0
    droppable = _read_table(container / "memory.stat").get("inactive_file", 0)  # files it read once, in its account
    return max(0, min(free, limit - used + droppable))


def give_back() -> None:
    """Returns freed memory to the system at once; glibc keeps much of it otherwise, others do it themselves."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _installed_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _read_number(file: Path) -> int | None:
    """The number in `file`; None for "max", or where there is no such file."""
    text = _read(file).strip()
    return int(text) if text.isdecimal() else None


def _read_table(file: Path) -> dict[str, int]:
    """Lines such as "MemAvailable:   123 kB" or "inactive_file 123"."""
    rows = (line.replace(":", " ").split() for line in _read(file).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def usable_cores(quota: Path = _CONTAINER / "cpu.max") -> int:
    """How many cores this process may use: those it is bound to, fewer where a container's limit says so."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    words = _read(quota).split()
    if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]):
        bound = min(bound, int(words[0]) // int(words[1]))
    return max(1, bound)
