"""Names made here: found however they are spelt, kept whole on disk, and never more than there may be."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from moe import aliases
from moe.aliases import Alias, Aliases, NotKept, Turn, is_model_name, shorten
from moe.errors import BadRequest

MARIO = Alias(name="Mario", source="math", system="You are Mario.", parameters={"temperature": 0.1, "stop": ["X"]},
              messages=(Turn("user", "who?"), Turn("assistant", "me")), created=1_700_000_000.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "aliases.json"


def read(file: Path) -> Aliases:
    found = Aliases(file)
    assert found.load() == ""
    return found


def test_what_was_put_is_there_after_a_restart(file: Path) -> None:
    Aliases(file).put(MARIO)
    assert read(file).entries() == [MARIO]
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("name", ["mario", "MARIO", "Mario:latest", " mario "])
def test_a_name_is_found_in_any_case_and_with_latest(file: Path, name: str) -> None:
    kept = Aliases(file)
    kept.put(MARIO)
    assert kept.find(name) == MARIO


def test_a_name_that_is_put_again_is_replaced_and_one_that_is_removed_is_gone(file: Path) -> None:
    kept = Aliases(file)
    kept.put(MARIO)
    kept.put(Alias(name="MARIO:latest", source="lemoe"))
    assert [alias.source for alias in kept.entries()] == ["lemoe"]
    kept.remove(["mario", "nobody"])
    assert read(file).entries() == []


def test_a_broken_file_is_set_aside_and_told(file: Path) -> None:
    file.parent.mkdir()
    file.write_text('{"aliases": [{"name": 3}]}')
    kept = Aliases(file)
    assert "kept as aliases.broken.json" in kept.load()
    kept.put(MARIO)
    assert read(file).entries() == [MARIO]
    assert json.loads((file.parent / "aliases.broken.json").read_text())["aliases"] == [{"name": 3}]


def test_what_cannot_be_written_does_not_hold(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    kept = Aliases(tmp_path / "data" / "aliases.json")
    with pytest.raises(NotKept, match="cannot be written"):
        kept.put(MARIO)
    assert kept.entries() == []


def test_there_are_only_so_many(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliases, "MOST_ALIASES", 2)
    kept = Aliases(file)
    for name in ("a", "b"):
        kept.put(Alias(name=name, source="lemoe"))
    with pytest.raises(BadRequest, match="delete one first"):
        kept.put(Alias(name="c", source="lemoe"))
    kept.put(Alias(name="B", source="math"))
    assert [alias.source for alias in read(file).entries()] == ["lemoe", "math"]


def test_many_at_once_lose_nothing(file: Path) -> None:
    kept = Aliases(file)
    threads = [threading.Thread(target=kept.put, args=(Alias(name=f"a{i}", source="lemoe"),)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {alias.name for alias in read(file).entries()} == {f"a{i}" for i in range(20)}


@pytest.mark.parametrize(
    "name", ["a", "phi4:14b", "hf.co/Owner-1/Repo.GGUF:Q4_K_M", "localhost:5000/ns/m:t", "_x", "x" * 80]
)
def test_names_that_ollama_takes(name: str) -> None:
    assert is_model_name(name)


@pytest.mark.parametrize("name", ["", " ", "a b", "/a", "a/", "a:", ":a", "-a", ".a", "..", "a//b", "a/b/c/d", "a\n",
                                  "n.s/../m", "x" * 81, "a:b:c", "é", "h/n.s/m", "../../etc/passwd", "a\0"])
def test_names_that_ollama_does_not_take(name: str) -> None:
    assert not is_model_name(name)


@pytest.mark.parametrize(("name", "short"), [
    ("registry.ollama.ai/library/big:latest", "big:latest"), ("Library/big", "big"), ("big", "big"), (" big ", "big"),
    ("https://registry.ollama.ai/team/big", "team/big"), ("hf.co/library/big", "hf.co/library/big"),
    ("registry.ollama.ai.example/library/big", "registry.ollama.ai.example/library/big"), ("library", "library"),
])
def test_what_ollama_leaves_out_of_a_name_may_stand_there(file: Path, name: str, short: str) -> None:
    assert shorten(name) == short
    kept = Aliases(file)
    kept.put(Alias(name=name, source="math"))
    assert [alias.name for alias in kept.entries()] == [short]
    assert kept.find(short) == kept.find(name) is not None
