from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moe.config import read_config
from moe.config.settings import ROOT
from moe.experts import Example
from tests.config.files import FALLBACK, expert, problems_of, warnings_of, write_folder


def write_pack(folder: Path, *lines: Any, name: str = "math.jsonl") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines), "utf-8")
    return file


def folder_with(tmp_path: Path, **more: Any) -> Path:
    return write_folder(tmp_path, experts=[FALLBACK, expert(1, "math", **more)])


def test_an_expert_s_own_examples_come_before_those_of_its_file(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, examples=["12 * 17"], examples_file="packs/math.jsonl")
    file = write_pack(folder, {"text": "solve it", "lang": "en", "label": "x"}, "", json.dumps("löse das"),
                      {"text": "prove it", "source": "exam"}, name="packs/math.jsonl")
    config = read_config(folder)
    assert config.examples == {"math": (Example("12 * 17"), Example("solve it"), Example("löse das"),
                                        Example("prove it", "exam"))}
    assert config.files[2:] == (file,)


def test_a_text_counts_once_whatever_its_case_and_spaces(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, examples=["Solve  it", "solve IT ", " "], examples_file="math.jsonl")
    write_pack(folder, {"text": "SOLVE\nIT"}, {"text": ""}, {"text": "other"})
    assert [example.text for example in read_config(folder).examples["math"]] == ["Solve  it", "other"]


def test_bad_lines_are_told_with_their_numbers_and_not_all_of_many(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, examples_file="math.jsonl")
    write_pack(folder, {"text": "good"}, "{", {"prompt": "x"}, {"text": 3}, "[]", '{"text": "a"} b', "nope", "5")
    problems = problems_of(folder)
    assert [problem.partition(": ")[0] for problem in problems] == [
        *(f"math.jsonl:{line}" for line in range(2, 7)), "math.jsonl"]
    assert '{"text": "..."}' in problems[0]
    assert "2 more" in problems[-1]


@pytest.mark.parametrize("named", ["../math.jsonl", "packs/../../math.jsonl", "/etc/hostname", "link.jsonl"])
def test_no_file_outside_of_the_config_folder_is_read(tmp_path: Path, named: str) -> None:
    folder = folder_with(tmp_path, examples_file=named)
    write_pack(tmp_path, {"text": "secret"})
    (folder / "link.jsonl").symlink_to(tmp_path / "math.jsonl")
    (problem,) = problems_of(folder)
    assert 'examples_file (expert "math")' in problem and "leads out of" in problem


@pytest.mark.parametrize("named", ["none.jsonl", "packs", "a\0b"])
def test_a_file_that_is_not_there_is_told_at_its_key(tmp_path: Path, named: str) -> None:
    folder = folder_with(tmp_path, examples_file=named)
    (folder / "packs").mkdir()
    (problem,) = problems_of(folder)
    assert problem.startswith("experts.json:") and '$.experts[1].examples_file (expert "math")' in problem


def test_a_config_folder_elsewhere_finds_the_shipped_packs_but_its_own_come_first(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, examples_file="packs/math.jsonl")
    assert len(read_config(folder).examples["math"]) >= 100
    write_pack(folder, {"text": "mine"}, name="packs/math.jsonl")
    assert read_config(folder).examples == {"math": (Example("mine"),)}


def test_experts_named_on_the_command_line_bring_files_from_their_own_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    elsewhere = write_folder(tmp_path / "elsewhere", experts=[FALLBACK, expert(1, "math", examples_file="m.jsonl")])
    write_pack(elsewhere, {"text": "theirs"}, name="m.jsonl")
    config = read_config(folder, experts_file=elsewhere / "experts.json")
    assert config.examples == {"math": (Example("theirs"),)}


def test_the_fallback_has_no_examples(tmp_path: Path) -> None:
    (problem,) = problems_of(write_folder(tmp_path, experts=[{**FALLBACK, "examples": ["hello"]}]))
    assert "the fallback (id 0) must have no examples" in problem


def test_whoever_has_examples_needs_no_keywords(tmp_path: Path) -> None:
    examples = [f"prompt {number}" for number in range(15)]
    assert warnings_of(folder_with(tmp_path, keywords=[], examples=examples)) == ()
    (warning,) = warnings_of(folder_with(tmp_path, keywords=[], examples=examples[:3]))
    assert "0 keywords" in warning


def test_every_shipped_expert_has_a_pack_and_every_pack_an_expert() -> None:
    shipped = json.loads((ROOT / "config" / "experts.example.json").read_text("utf-8"))["experts"]
    named = {expert["examples_file"] for expert in shipped if expert["id"]}
    assert named == {f"packs/{file.name}" for file in (ROOT / "config" / "packs").glob("*.jsonl")}
