"""Tries a model out in a process of its own, so that one which brings its engine down takes nothing else with it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

from ..errors import BackendError, NotReady

Format = Literal["gguf", "onnx"]
LEAST_S = 60.0
BYTES_PER_S = 20 << 20
SLACK_BYTES = 8 << 30
SPARE_S = 5
_ROOT = Path(__file__).parents[2]
_ENGINE_FAULTS = {3: "engine not installed", 4: "engine does not load"}  # by exit code


def probe(form: Format, path: Path, *, size_bytes: int) -> None:
    """Returns when the model at `path` can be loaded and run. Raises NotReady with its engine's words, or how it died.
    """
    limit_s = LEAST_S + size_bytes / BYTES_PER_S
    command = [sys.executable, "-m", "moe.backends.probe", form, str(path), str(size_bytes), str(int(limit_s))]
    try:
        done = subprocess.run(  # noqa: S603 - this very module
            command, cwd=_ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        told = f"{path.name} did not load and run within {limit_s:.0f} s when it was tried out"
        raise NotReady(told, reason="model cannot be loaded") from error
    except OSError as error:
        raise NotReady(f"{path.name} could not be tried out: {error}", reason="model cannot be loaded") from error
    if done.returncode == 0:
        return
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    if done.returncode in _ENGINE_FAULTS:
        raise NotReady(lines[-1], reason=_ENGINE_FAULTS[done.returncode])
    if done.returncode == -signal.SIGILL:
        told = f"the engine for {path.name} was built for another processor: it uses instructions that this one lacks"
        raise NotReady(told, reason="engine does not load")
    if done.returncode < 0 or not lines:
        raise NotReady(
            f"{path.name} makes its engine crash ({_describe(done.returncode)}): the file is damaged, or made for "
            "another version", reason="broken model file",
        )
    raise NotReady(lines[-1], reason="broken model file")


def _limit_memory(size_bytes: int) -> None:
    """A file that asks for a thousand gigabytes is to fail here, not to push others out of memory."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - Unix only

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        limit = size_bytes * 2 + SLACK_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _describe(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def main(form: str, path: str, size_bytes: str, limit_s: str) -> int:
    """Tries it out, in this process; prints what is amiss."""
    if hasattr(signal, "alarm"):  # whoever waits for it may be gone by then
        signal.alarm(int(limit_s) + SPARE_S)
    try:
        _try_out(form, Path(path), int(size_bytes))
    except BackendError as error:
        print(error.message)
        return next((code for code, reason in _ENGINE_FAULTS.items() if reason == error.reason), 1)
    except MemoryError:
        print(f"{Path(path).name} asks for more memory than it may have")
        return 1
    return 0


def _try_out(form: str, path: Path, size_bytes: int) -> None:
    """Each format needs its own engine only."""
    if form == "gguf":
        from .llama import library, trial  # noqa: PLC0415

        if not library.uses_drivers():  # they reserve address space without end
            _limit_memory(size_bytes)
        trial.try_out(path)
    else:
        from .onnx.trial import try_out  # noqa: PLC0415

        _limit_memory(size_bytes)
        try_out(path)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
