from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moe.backends.llama.header import Header, read_header
from moe.backends.llama.size import choose_shape, choose_size
from moe.config import EngineConfig
from moe.errors import NotReady

from ..tiny import GENERAL, write_gguf, write_random

KV_AT = 24  # behind magic, version and the two counts


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_random(tmp_path_factory.mktemp("header") / "whole.gguf").read_bytes()


def read(data: bytes, folder: Path) -> None:
    file = folder / "tried.gguf"
    file.write_bytes(data)
    read_header(file)


def test_the_header_says_what_the_model_is() -> None:
    header = read_header(GENERAL)
    assert (header.architecture, header.context_length, header.quantization) == ("llama", 1024, "F16")
    assert 0.2e6 < header.parameters < 0.5e6
    assert header.parameter_size.endswith("M")
    assert "<|im_start|>" in header.template
    assert header.lengths["tokenizer.ggml.tokens"] == 513
    assert header.file_bytes == GENERAL.stat().st_size


def test_a_cells_size_is_what_keys_and_values_take_at_16_bits(tmp_path: Path) -> None:
    assert read_header(write_random(tmp_path / "m.gguf", width=32)).cell_bytes == 1 * 2 * (16 + 16) * 2


def test_every_truncation_is_told_and_none_is_a_crash(whole: bytes, tmp_path: Path) -> None:
    for length in [*range(0, 200), *range(200, len(whole), 997), len(whole) - 1]:
        with pytest.raises(NotReady) as caught:
            read(whole[:length], tmp_path)
        assert caught.value.reason == "broken model file"


def test_a_file_that_was_not_wholly_downloaded_says_so(whole: bytes, tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="not wholly downloaded"):
        read(whole[:-4096], tmp_path)


@pytest.mark.parametrize(("patch", "at", "says"), [
    (b"GGML", 0, "begins with"),
    (struct.pack("<I", 1), 4, "version 1"),
    (struct.pack("<I", 4), 4, "version 4"),
    (struct.pack(">I", 3), 4, "version"),
    (struct.pack("<Q", 2**63), 8, "counts"),
    (struct.pack("<Q", 2**40), 16, "counts"),
    (struct.pack("<Q", 2**62), KV_AT, "beyond the end"),
    (struct.pack("<Q", 2**64 - 1), KV_AT, "beyond the end"),
])
def test_numbers_that_cannot_be_are_told(whole: bytes, tmp_path: Path, patch: bytes, at: int, says: str) -> None:
    with pytest.raises(NotReady, match=says):
        read(whole[:at] + patch + whole[at + len(patch):], tmp_path)


def test_an_array_longer_than_the_file_is_told_at_once(tmp_path: Path) -> None:
    for kind in (0, 8):
        entry = struct.pack("<Q", 1) + b"x" + struct.pack("<IIQ", 9, kind, 2**30)
        with pytest.raises(NotReady, match="longer than the file|beyond the end"):
            read(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry, tmp_path)


def test_arrays_of_arrays_unknown_kinds_and_doubled_keys_are_told(tmp_path: Path) -> None:
    start = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"x"
    for entry in (struct.pack("<IIQ", 9, 9, 1), struct.pack("<I", 77), struct.pack("<IIQ", 9, 77, 1)):
        with pytest.raises(NotReady, match="unknown kind"):
            read(start + entry + b"\0" * 64, tmp_path)
    doubled = write_gguf({"general.architecture": "llama"}, {})
    entry = doubled[KV_AT:].rstrip(b"\0")
    with pytest.raises(NotReady, match="stands twice"):
        read(doubled[:16] + struct.pack("<Q", 2) + entry + entry + b"\0" * 64, tmp_path)


def test_a_header_without_an_architecture_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="architecture"):
        read(write_gguf({"general.name": "x"}, {}), tmp_path)


@pytest.mark.parametrize("alignment", [0, 3, 2**30])
def test_an_impossible_alignment_is_told(tmp_path: Path, alignment: int) -> None:
    with pytest.raises(NotReady, match="alignment"):
        read(write_gguf({"general.architecture": "llama", "general.alignment": alignment}, {}), tmp_path)


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="cannot be read"):
        read_header(tmp_path)
    with pytest.raises(NotReady, match="cannot be read"):
        read_header(tmp_path / "none")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_bytes_are_read_or_told_but_never_raise_anything_else(
    whole: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, 6000))
        damaged[at] = data.draw(st.integers(0, 255))
    try:
        read(bytes(damaged), tmp_path)
    except NotReady as error:
        assert error.reason == "broken model file"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=400))
def test_noise_behind_the_magic_is_told(tmp_path: Path, noise: bytes) -> None:
    with pytest.raises(NotReady):
        read(b"GGUF\3\0\0\0" + noise, tmp_path)


def test_a_conversation_is_never_longer_than_the_model_was_trained_on(tmp_path: Path) -> None:
    header = read_header(write_random(tmp_path / "m.gguf", context=512))
    assert choose_size(header, EngineConfig()).context_length == 512
    assert choose_size(header, EngineConfig(n_ctx=300)).context_length == 300
    assert choose_size(header, EngineConfig(n_ctx=300), context=400).context_length == 400


def test_the_cache_holds_four_conversations_while_it_can_be_afforded(tmp_path: Path) -> None:
    roomy = read_header(write_random(tmp_path / "m.gguf", context=8192))
    assert cells(roomy, spare=1 << 40) == 16384
    assert cells(roomy, spare=100 * roomy.cell_bytes) == 4096 + 256
    assert cells(roomy, spare=0) == 4096
    costly = read_header(write_random(tmp_path / "c.gguf", context=8192, llama__attention__key_length=1 << 20))
    assert cells(costly, spare=1 << 40) == 4096


def test_a_model_with_other_factors_for_long_contexts_keeps_the_short_ones(tmp_path: Path) -> None:
    file = write_random(tmp_path / "m.gguf", context=131072, llama__rope__scaling__original_context_length=4096)
    assert cells(read_header(file), spare=1 << 40) == 4096


def cells(header: Header, *, spare: int) -> int:
    return choose_shape(header, choose_size(header, EngineConfig()), spare_bytes=spare).cells


def test_small_models_get_one_thread_and_a_setting_wins() -> None:
    header = read_header(GENERAL)
    assert choose_size(header, EngineConfig()).threads == 1
    assert choose_size(header, EngineConfig(n_threads=3)).threads == 3


def test_what_a_model_needs_at_least_is_its_weights_and_one_conversation(tmp_path: Path) -> None:
    header = read_header(write_random(tmp_path / "m.gguf", context=8192))
    least = choose_size(header, EngineConfig(n_ctx=1024)).least_bytes
    assert least - choose_size(header, EngineConfig(n_ctx=512)).least_bytes == 512 * header.cell_bytes
    assert least > header.file_bytes + 1024 * header.cell_bytes
