"""Which file of which repository a name means, and the table of short names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moe import weights
from moe.hub import File

ROOT = Path(__file__).parents[1]


def files(*names: str) -> list[File]:
    return [File(name, 10**9, "0" * 64) for name in names]


SEVERAL = files("README.md", "Tiny-Q2_K.gguf", "Tiny-Q4_K_M.gguf", "Tiny-Q4_K_S.gguf", "Tiny-Q8_0.gguf",
                "mmproj-Tiny-f16.gguf", "Tiny.imatrix.gguf", "old/Tiny-F16.gguf")  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "file"),
    [
        ("o/r", "Tiny-Q4_K_M.gguf"),
        ("o/r:q8_0", "Tiny-Q8_0.gguf"),
        ("o/r:Q2_K", "Tiny-Q2_K.gguf"),
        ("o/r/Tiny-Q4_K_S.gguf", "Tiny-Q4_K_S.gguf"),
        ("o/r/old/Tiny-F16.gguf", "old/Tiny-F16.gguf"),
        ("https://huggingface.co/o/r", "Tiny-Q4_K_M.gguf"),
        ("https://huggingface.co/o/r/blob/main/Tiny-Q8_0.gguf", "Tiny-Q8_0.gguf"),
        ("hf.co/o/r:Q8_0", "Tiny-Q8_0.gguf"),
    ],
)
def test_one_of_several_files_is_chosen_by_its_quantisation_or_name(asked: str, file: str) -> None:
    assert weights.pick(SEVERAL, weights.read_name(asked)).name == file


def test_the_only_file_needs_no_quantisation() -> None:
    only = files("Tiny-IQ3_XXS.gguf", "mmproj-model-f16.gguf")
    assert weights.pick(only, weights.read_name("o/r")).name == "Tiny-IQ3_XXS.gguf"


@pytest.mark.parametrize(
    ("asked", "there", "problem", "offered"),
    [
        ("o/r:Q5_K_M", SEVERAL, "o/r has no Q5_K_M.", "--model o/r/Tiny-Q8_0.gguf   1.0 GB"),
        ("o/r:Q4_K", SEVERAL, "o/r has no Q4_K.", "--model o/r/Tiny-Q4_K_M.gguf"),
        ("o/r/Typo.gguf", SEVERAL, "o/r has no Typo.gguf.", "--model o/r/old/Tiny-F16.gguf"),
        ("o/r", files("a-q4_k_m.gguf", "b-q4_k_m.gguf"), "o/r has several files in Q4_K_M.", "o/r/b-q4_k_m.gguf"),
        ("o/r", files("a.gguf", "b.gguf"), "o/r has no Q4_K_M.", "--model o/r/b.gguf"),
        ("o/r", files("a-q4_k_m-00001-of-00002.gguf", "a-q4_k_m-00002-of-00002.gguf", "a-q2_k.gguf"),
         "Q4_K_M of o/r is split into several files, and only a whole one can be used.", "--model o/r/a-q2_k.gguf"),
        ("o/r/a-00001-of-00002.gguf", files("a-00001-of-00002.gguf", "a-00002-of-00002.gguf"),
         "a-00001-of-00002.gguf of o/r is split into several files", "It has no whole one."),
        ("o/r", files("model.safetensors"), "o/r has no GGUF file", "-GGUF"),
        ("o/r", files("..gguf", "a/.hidden.gguf", "evil\x1b[2J.gguf"), "o/r has no GGUF file", "-GGUF"),
    ],
)  # fmt: skip
def test_what_is_not_one_whole_file_is_refused_with_what_there_is(
    asked: str, there: list[File], problem: str, offered: str
) -> None:
    with pytest.raises(weights.WeightsError) as refused:
        weights.pick(there, weights.read_name(asked))
    assert str(refused.value).startswith(problem)
    assert offered in str(refused.value)
    assert not re.search(r"mmproj|imatrix|-of-0000\d.gguf   ", str(refused.value))


@pytest.mark.parametrize("name", ["", "qwen", "o/r/s", "o/r:", "../etc/passwd.gguf:x", "o r/x", "http://127.0.0.1/o/r"])
def test_what_is_no_name_at_all_is_refused(name: str) -> None:
    with pytest.raises(weights.WeightsError, match="There is no model"):
        weights.read_name(name)


def test_the_named_models_are_read_as_what_they_are() -> None:
    assert weights.DEFAULT in weights.CATALOG
    for name, entry in weights.CATALOG.items():
        wanted = weights.read_name(name.upper())
        assert (wanted.repo, wanted.file) == (entry.repo, entry.file)
        assert weights.pick(files("other.gguf", entry.file), wanted).name == entry.file


@pytest.mark.parametrize("page", ["README.md", "setup.sh"])
def test_the_pages_tell_of_every_named_model_with_its_size(page: str) -> None:
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    for name, entry in weights.CATALOG.items():
        size = weights.spell_size(int(entry.megabytes * 1e6))
        assert any(re.search(rf"\b{re.escape(name)}\b", line) and size in line for line in lines), name
