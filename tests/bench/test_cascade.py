"""The measuring of hardness and complexity: nothing that is asked was taught, and weights are what the data say."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from moe.routing.complexity import load_weights
from moe.routing.hardness import load_hardness
from tests.bench import cascade, complexity, teaching


def write_rows(file: Path) -> Path:
    """Four subjects whose longer questions fail, and word problems whose sums tell."""
    rng, rows = np.random.default_rng(0), []
    for number in range(240):
        hard = bool(rng.random() < 0.4)
        text = f"Which of {'these very complicated and obscure ' * 3 * hard}things is it?\nA. one\nB. two\nAnswer:"
        rows.append({"text": text, "small": bool(rng.random() < (0.3 if hard else 0.9)), "large": True,
                     "source": f"mmlu/{number % 4}"})
    for number in range(80):
        right = bool(rng.random() < 0.6)
        rows.append({"text": f"Ann has {number} pens and buys 2. How many?", "small": right, "large": True,
                     "source": "gsm8k", "small_answer": f"{number} + 2 = {number + (2 if right else 3)}."})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def test_subjects_are_left_out_whole() -> None:
    source = np.array([f"mmlu/{number % 13}" for number in range(400)])
    parts = teaching.part_rows(source, 0)
    assert len(np.unique(parts)) == teaching.PARTS
    assert all(len(np.unique(parts[source == subject])) == 1 for subject in np.unique(source))


def test_a_source_without_subjects_is_cut_into_ten() -> None:
    assert np.bincount(teaching.part_rows(np.array(["gsm8k"] * 100), 1)).tolist() == [10] * 10


def test_what_can_be_told_is_found(tmp_path: Path) -> None:
    section = cascade.measure(teaching.read_data(write_rows(tmp_path / "rows.jsonl")), without_vectors=True)
    found = {(row[0], row[2]): row for row in section.rows}
    assert found["MMLU", "chance"][6] == pytest.approx(0.5)
    assert float(found["MMLU", "**ours, the question alone**"][6]) > 0.65
    assert float(found["gsm8k", "**ours, its answer seen**"][6]) > 0.75


def test_weights_are_written_and_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fitted = tmp_path / "hardness.json"
    rows = write_rows(tmp_path / "rows.jsonl")
    assert cascade.main([str(rows), "--without-vectors", "--fit", str(fitted)]) == 0
    assert load_hardness(fitted).foresee("Which of these very complicated and obscure things is it?") > 0
    assert "ours, its answer seen" in capsys.readouterr().out


def test_a_file_that_is_none_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cascade.main([str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize(("expression", "value"), [("1/3*3", Fraction(1)), ("0.1+0.2", Fraction(3, 10)), ("1/0", None),
                                                   ("two pens", None)])
def test_sums_go_through_the_exact_tool(expression: str, value: Fraction | None) -> None:
    assert teaching.work_out(expression) == value


def test_the_shipped_weights_of_complexity_are_those_of_its_prompts() -> None:
    fitted, shipped = complexity.fit_all(complexity.read_prompts(complexity.PROMPTS)), load_weights()
    assert fitted.names == shipped.names
    assert np.allclose(np.array(fitted.weights), np.array(shipped.weights), atol=1e-2)


def test_complexity_is_told_better_than_by_length() -> None:
    section = complexity.measure(complexity.read_prompts(complexity.PROMPTS))
    right = {str(row[0]): float(row[2]) for row in section.rows}
    assert right["all figures, ten parts"] > right["length alone, ten parts"] + 0.15
