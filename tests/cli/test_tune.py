"""`tune`: thresholds and weights fitted to labelled prompts, and config.json written only when asked to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.house import CODE, EXPERTS, LEARNERS, MATHS, NEITHER, House
from tests.cli.test_batch import write_rows
from tests.routing.prompts import ASKED, EXAMPLES

# A single keyword gives 0.5, two of one expert 0.67; "git" alone is never meant as código here.
WEAK = "Please say git again."
STRONG = ("my python compiler", "javascript regular expression", "docker and rust", "unit test with recursion")
ROWS: list[dict[str, Any]] = [
    *({"text": f"{text} {number}", "label": "código"} for number in range(5) for text in STRONG),
    *({"text": f"the matrix equation and its integral, {number}", "label": "math"} for number in range(10)),
    *({"text": f"{WEAK} {number}", "label": "fallback"} for number in range(20)),
]


@pytest.fixture
def rows(inside: House) -> Path:
    return write_rows(inside.folder / "rows.jsonl", ROWS)


def config_of(house: House) -> Path:
    return house.folder / "config" / "config.json"


def test_a_better_threshold_is_shown_and_nothing_is_written(inside: House, rows: Path) -> None:
    before = config_of(inside).read_bytes()
    done = inside.moe("tune", "rows.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[1].split() == ["before", "0.600", "0.400", "0.000"]
    assert lines[2].split() == ["after", "1.000", "0.000", "0.000"]
    assert "5 folds" in lines[3]
    assert lines[-2].startswith("router.confidence_threshold")
    assert lines[-1] == f"--write sets this in {config_of(inside)}"
    assert config_of(inside).read_bytes() == before
    assert [file.name for file in config_of(inside).parent.iterdir() if "bak" in file.name] == []


def test_what_is_written_keeps_the_file_as_it_was_and_the_router_obeys(inside: House, rows: Path) -> None:
    text = ('\ufeff{\r\n\t"log_prompts" : false,\r\n\t"router": {"model_path": "",   "unknown_model":"error"},\r\n'
            f'\t"expert_runner": {{"ollama_url": "{inside.ollama.url}"}}\r\n}}\r\n')
    config_of(inside).write_bytes(text.encode())
    config_of(inside).chmod(0o600)
    done = inside.moe("tune", "rows.jsonl", "--write")
    assert done.returncode == 0, done.stderr
    assert (config_of(inside).parent / "config.json.bak").read_bytes() == text.encode()
    written = config_of(inside).read_bytes().decode()
    start, end = text.split(',   "unknown_model":"error"')
    assert written.startswith(f'{start},   "unknown_model":"error",   "confidence_threshold')
    assert written.endswith(end)
    assert config_of(inside).stat().st_mode & 0o777 == 0o600
    told = json.loads(inside.moe("eval", "rows.jsonl", "--json").stdout)
    assert told["strict"] == 1.0
    again = inside.moe("tune", "rows.jsonl", "--write")
    assert again.stdout.splitlines()[-1] == "the config is left as it is: nothing better was found"
    assert config_of(inside).read_bytes().decode() == written


def test_a_former_backup_is_never_lost(inside: House, rows: Path) -> None:
    (config_of(inside).parent / "config.json.bak").write_text("mine")
    done = inside.moe("tune", "rows.jsonl", "--write")
    assert done.stdout.splitlines()[-1].endswith("config.json.bak2")
    assert (config_of(inside).parent / "config.json.bak").read_text() == "mine"


def test_what_is_no_better_is_not_written(inside: House) -> None:
    rows = [{"text": text, "label": label} for text, label in ((MATHS, "math"), (CODE, "código"), (NEITHER, "oos"))]
    write_rows(inside.folder / "rows.jsonl", rows * 10)
    before = config_of(inside).read_bytes()
    done = inside.moe("tune", "rows.jsonl", "--write")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0, "the config is left as it is: nothing better was found")
    assert config_of(inside).read_bytes() == before


@pytest.mark.parametrize(("chosen", "told"), [
    (ROWS[:19], "19 prompts are too few to learn from"),
    ([row for row in ROWS if row["label"] != "math"], "the prompts must be for two experts at least"),
])
def test_too_little_to_learn_from_is_a_misuse(inside: House, chosen: list[dict[str, Any]], told: str) -> None:
    write_rows(inside.folder / "rows.jsonl", chosen)
    done = inside.moe("tune", "rows.jsonl", "--write")
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_examples_of_the_experts_are_left_out(inside: House, rows: Path) -> None:
    experts = [*EXPERTS[:2], {**EXPERTS[2], "examples": [row["text"] for row in ROWS[:20]]}]
    inside.write(experts=experts)
    done = inside.moe("tune", "rows.jsonl")
    assert "20 prompts are examples of the experts themselves: they are left out" in done.stderr
    assert done.returncode == 2


@pytest.mark.parametrize("scorer", ["hybrid", "lemoe"])
def test_either_scorer_is_tuned_with_an_encoder(fitted: House, scorer: str) -> None:
    """At a temperature of 3 LeMoE's score is never sure, and few prompts have a keyword: a lower one is fitted."""
    router = {"model_path": None, "scorer": scorer, "softmax_temperature": 3.0, "confidence_threshold": 0.4}
    keywords = {} if scorer == "hybrid" else EXAMPLES  # the other one reads no examples
    experts = [{**expert, "keywords": keywords.get(expert["label"], ())} for expert in LEARNERS]
    fitted.write(config={"router": router}, experts=experts)
    rows = [{"text": f"{text} {number}", "label": label, "source": f"s{number}"}
            for number in range(6) for label, text in ASKED.items()]
    write_rows(fitted.folder / "rows.jsonl", rows)
    done = fitted.moe("tune", "rows.jsonl")
    assert (done.returncode, done.stderr) == (
        0, 'moe: fewer than 10 prompts are labelled "fallback": thresholds stay as they are\n')
    before, after = (line.split() for line in done.stdout.splitlines()[1:3])
    if scorer == "hybrid":
        assert before[1] == after[1] == "1.000"
        assert done.stdout.splitlines()[-1].startswith("the config is left as it is")
    else:
        assert float(before[1]) < 0.6 and float(after[1]) > 0.9
        assert "router.softmax_temperature: 3 -> 0." in done.stdout
