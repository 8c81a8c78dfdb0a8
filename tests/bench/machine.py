"""What a run was measured on: the machine, the versions, and how much of it other programs took meanwhile."""

from __future__ import annotations

import math
import os
import platform
import subprocess
import time
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.bench.process import PROC, ROOT, all_s
from tests.bench.store import LITELLM, TOOLS

PACKAGES = ("flask", "waitress", "urllib3", "httptools", "msgspec", "onnxruntime", "llama-cpp-python")
QUIET_CORES = 0.1


def describe() -> dict[str, str]:
    """The rows of a table."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "the benchmark's own": ", ".join((*LITELLM[1], *TOOLS[1])),
        "commit": _commit(),
    }


class Stopwatch:
    """Over a stretch of time: when it began, how long it took, and how many cores other programs had of it."""

    def __init__(self) -> None:
        self.began = datetime.now(timezone.utc)
        self._began_s = time.perf_counter()
        self._busy_s, self._own_s = _busy_s(), all_s(os.getpid())

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._began_s

    def others_cores(self) -> float:
        """NaN where the system does not tell. What the kernel does for nobody in particular is others' too."""
        return max(_busy_s() - self._busy_s - (all_s(os.getpid()) - self._own_s), 0.0) / self.elapsed_s

    def __str__(self) -> str:
        others = self.others_cores()
        told = f"other programs took {others:.2f} of {os.cpu_count()} cores"
        if math.isnan(others):
            told = "how much other programs took is not known"
        elif others > QUIET_CORES:
            told += ": NOT a quiet machine, so trust the CPU times and ratios only"
        return f"measured {self.began:%Y-%m-%d %H:%M} UTC in {self.elapsed_s:.0f} s; {told}"


def _busy_s() -> float:
    """Seconds that all processors together have worked since the system began; stolen ones count."""
    if not PROC:
        return math.nan
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """Which state of the project, as far as git knows."""
    try:
        told = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True,
                              check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told.stdout.strip()
