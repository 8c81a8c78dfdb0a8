"""Why llama.cpp is not there, in its own words: each case in a process of its own, as a library is loaded only once."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from moe.backends.probe import probe
from moe.config.settings import ROOT
from moe.errors import NotReady
from tests.backends.tiny import GENERAL

HANG_S = 60
LOAD = """
from moe.backends.llama.library import load_library
from moe.errors import NotReady
try:
    load_library()
except NotReady as error:
    print(error.reason, error.message, sep="\\n")
"""
DOES_NOT_LOAD = "llama-cpp-python is installed but does not load: "


def load(*, before: str = "", **environment: str) -> list[str]:
    """The reason and the message of the refusal, [] when it loads."""
    done = subprocess.run([sys.executable, "-c", before + LOAD], cwd=ROOT, env={**os.environ, **environment}, text=True,
                          capture_output=True, timeout=HANG_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def own_libraries() -> Path:
    pytest.importorskip("llama_cpp")
    found = importlib.util.find_spec("llama_cpp")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "lib"


def test_only_what_is_not_installed_is_told_to_be_installed() -> None:
    reason, told = load(before="import sys; sys.modules['llama_cpp'] = None\n")
    assert (reason, told) == ("engine not installed",
                              "llama-cpp-python is not installed: run `./setup.sh --with local`")


def test_what_the_package_itself_needs_is_named() -> None:
    pytest.importorskip("llama_cpp")
    reason, told = load(before="import sys; sys.modules['jinja2'] = None\n")
    assert reason == "engine does not load"
    assert told.startswith(DOES_NOT_LOAD) and "jinja2" in told


@pytest.mark.skipif(sys.platform != "linux", reason="the words of Linux's linker")
def test_a_library_that_misses_another_names_it_and_no_folder(tmp_path: Path) -> None:
    """As libggml-cuda.so misses libcuda.so.1 where there is no driver."""
    shutil.copy(own_libraries() / "libllama.so", tmp_path)
    reason, told = load(LLAMA_CPP_LIB_PATH=str(tmp_path))
    assert reason == "engine does not load"
    assert told.startswith(DOES_NOT_LOAD)
    assert "libggml" in told and "cannot open shared object file" in told
    assert str(tmp_path) not in told and "/" not in told.removesuffix("No such file or directory")


@pytest.mark.parametrize("content", [b"", b"not a library", b"\x7fELF" + b"\0" * 60])
def test_a_library_that_is_none_is_told_in_the_linkers_words(tmp_path: Path, content: bytes) -> None:
    own_libraries()
    for name in ("libllama.so", "libllama.dylib"):
        (tmp_path / name).write_bytes(content)
    reason, told = load(LLAMA_CPP_LIB_PATH=str(tmp_path))
    assert reason == "engine does not load"
    assert told.startswith(DOES_NOT_LOAD) and "libllama" in told and str(tmp_path) not in told


def test_no_library_at_all_is_not_told_as_a_missing_package(tmp_path: Path) -> None:
    own_libraries()
    reason, told = load(LLAMA_CPP_LIB_PATH=str(tmp_path))
    assert reason == "engine does not load" and "not found" in told


# -- what a file's try-out says of it


@pytest.mark.skipif(sys.platform != "linux", reason="the words of Linux's linker")
def test_a_file_is_not_blamed_for_an_engine_that_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(own_libraries() / "libllama.so", tmp_path)
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(tmp_path))
    with pytest.raises(NotReady, match="installed but does not load: .*libggml") as refusal:
        probe("gguf", GENERAL, size_bytes=1)
    assert refusal.value.reason == "engine does not load"


def test_nor_for_one_that_was_built_for_another_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in dies as a library does whose first instruction this processor does not know."""
    (tmp_path / "llama_cpp.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(NotReady, match="built for another processor") as refusal:
        probe("gguf", GENERAL, size_bytes=1)
    assert refusal.value.reason == "engine does not load"
