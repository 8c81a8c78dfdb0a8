"""Tries a file out in a process of its own, so that one which brings llama.cpp down takes nothing else with it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

from ...core import Message, Text
from ...errors import BackendError, NotReady
from .header import read_header
from .library import load_library
from .native import Native
from .plan import Plan
from .runner import Shape
from .template import Template

LEAST_S = 60.0
BYTES_PER_S = 20 << 20
SLACK_BYTES = 8 << 30
_ROOT = Path(__file__).parents[3]
_CELLS = 256
_NO_ENGINE = 3


def probe(file: Path, file_bytes: int) -> None:
    """Returns when llama.cpp can load and run the file. Raises NotReady with what it said, or how it died."""
    command = [sys.executable, "-m", "moe.backends.llama.probe", str(file)]
    limit_s = LEAST_S + file_bytes / BYTES_PER_S
    try:
        done = subprocess.run(  # noqa: S603 - this very module
            command, cwd=_ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        told = f"{file.name} did not load within {limit_s:.0f} s when it was tried out"
        raise NotReady(told, reason="model cannot be loaded") from error
    except OSError as error:
        raise NotReady(f"{file.name} could not be tried out: {error}", reason="model cannot be loaded") from error
    if done.returncode == 0:
        return
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    if done.returncode == _NO_ENGINE:
        raise NotReady(lines[-1], reason="engine not installed")
    if done.returncode < 0 or not lines:
        raise NotReady(
            f"{file.name} makes llama.cpp crash ({_describe(done.returncode)}): the file is damaged, or made for "
            "another version", reason="broken model file",
        )
    raise NotReady(lines[-1], reason="broken model file")


def try_out(file: Path) -> None:
    """Loads it, lets it read a conversation and write a word. Raises NotReady."""
    header = read_header(file)
    native = Native(file, Shape(cells=_CELLS, sequences=1, threads=1, batch_tokens=_CELLS, is_mapped=True))
    template = Template(header.template, bos=native.text_of(native.bos), eos=native.text_of(native.eos))
    text = template.render([Message("user", (Text("Hello"),))])
    tokens = native.tokenize(text)[:_CELLS] or [0]
    native.control_texts()
    if native.decode([(0, 0, tokens, True)]):
        raise NotReady(f"{file.name} loads but cannot be run", reason="broken model file")
    row = native.logits(1)[0]
    if native.log_total(row) != native.log_total(row):
        raise NotReady(f"{file.name} loads but computes no numbers: it is damaged", reason="broken model file")
    sampler = native.sampler(Plan())
    native.piece(sampler.sample(len(tokens) - 1, row))
    sampler.close()
    native.close()


def _limit_memory(file: Path) -> None:
    """A header that asks for a thousand gigabytes is to fail here, not to push others out of memory."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - Unix only

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        limit = file.stat().st_size * 2 + SLACK_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _describe(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def main(path: str) -> int:
    file = Path(path)
    try:
        library, _ = load_library()
    except NotReady as error:
        print(error.message)
        return _NO_ENGINE
    if not library.llama_supports_gpu_offload():  # drivers reserve address space without end
        _limit_memory(file)
    try:
        try_out(file)
    except BackendError as error:
        print(error.message)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
