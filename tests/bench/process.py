"""Processes of our own: started, measured and ended by their ids."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
END_S = 15.0
PROC = Path("/proc/self/stat").exists()


@contextlib.contextmanager
def running(
    command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, is_talkative: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """Runs `command` from the project's root until the block is left.

    `log` takes its standard error; and its standard output too when it `is_talkative`, else that is a pipe.
    """
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(  # in a session of its own, so that a Ctrl-C reaches only us
            command, cwd=ROOT, env={**os.environ, **(env or {})}, stdout=errors if is_talkative else subprocess.PIPE,
            stderr=errors, text=True, start_new_session=True,
        )
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()


class NotStarted(RuntimeError):
    """A server did not come up; the text ends with the last it said."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        said = log.read_text(encoding="utf-8").splitlines()[-12:]
        super().__init__("\n".join([f"{process.args!r} did not start:", *said]))


def await_port(process: subprocess.Popen[str], log: Path) -> tuple[int, float]:
    """The number that a server of the benchmark's own prints when it listens, and the seconds until then.

    Raises NotStarted.
    """
    began = time.perf_counter()
    line = process.stdout.readline() if process.stdout else ""
    if not line.strip().isdigit():
        raise NotStarted(process, log)
    return int(line), time.perf_counter() - began


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def await_health(
    process: subprocess.Popen[str], port: int, log: Path, *, path: str = "/health", limit_s: float = 60.0
) -> float:
    """The seconds until GET `path` is answered with 200. Raises NotStarted."""
    began = time.perf_counter()
    while time.perf_counter() - began < limit_s and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            if client.recv(4096).startswith(b"HTTP/1.1 200"):
                return time.perf_counter() - began
        time.sleep(0.005)
    raise NotStarted(process, log)


def cpu_s(pid: int) -> float:
    """Processor seconds used so far, children included."""
    return sum(_cpu_s(each) for each in tree(pid))


def all_s(pid: int) -> float:
    """The same, with what children that have ended used; NaN where there is no /proc."""
    if not PROC:
        return math.nan
    return sum(sum(_times(each)) + sum(_times(each, ended_children=True)) for each in tree(pid))


@contextlib.contextmanager
def kernel_share(pid: int) -> Iterator[Callable[[], float]]:
    """Gives a function that tells, after the block, which part (0 to 1) of its time the process spent in the kernel;
    NaN where there is no /proc."""
    began = _times(pid)
    ended = began
    yield lambda: (ended[1] - began[1]) / max(sum(ended) - sum(began), 1e-9) if PROC else math.nan
    ended = _times(pid)


def rss_mb(pid: int) -> float:
    """Megabytes of memory in use now, children included."""
    return sum(_rss_kb(each) for each in tree(pid)) / 1024


def tree(pid: int) -> list[int]:
    """The process and all below it; only itself where there is no /proc."""
    found = [pid]
    for each in found:
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # a thread that ended meanwhile
                found += map(int, children.read_text().split())
    return found


def _cpu_s(pid: int) -> float:
    if PROC:
        return sum(_times(pid))
    minutes, _, seconds = _ask_ps(pid, "time").rpartition(":")
    hours_and_minutes = [float(part) for part in minutes.split(":")]
    return sum(60.0 ** (i + 1) * part for i, part in enumerate(reversed(hours_and_minutes))) + float(seconds)


def _times(pid: int, *, ended_children: bool = False) -> tuple[float, float]:
    """Seconds in the program itself and in the kernel, of one process or of those it has waited for.

    Zeros where there is no /proc, and for a process that has just ended.
    """
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks, place = os.sysconf("SC_CLK_TCK"), 13 if ended_children else 11
        return int(fields[place]) / ticks, int(fields[place + 1]) / ticks
    return 0.0, 0.0


def _rss_kb(pid: int) -> int:
    if PROC:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) if "VmRSS:" in status else 0
    return int(_ask_ps(pid, "rss"))


def _ask_ps(pid: int, field: str) -> str:
    asked = subprocess.run(["ps", "-o", f"{field}=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return asked.stdout.strip()


def end_like_interrupt() -> None:
    """Lets a SIGTERM unwind like a Ctrl-C, so that every process we started is ended."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background jobs
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
