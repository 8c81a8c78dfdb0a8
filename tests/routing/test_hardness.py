"""What is counted in questions and answers, and what the shipped weights make of it."""

from __future__ import annotations

import math
import time
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe.routing.answer import read_answer
from moe.routing.hardness import FILE, Hardness, Logistic, is_problem, load_hardness, read_both
from moe.routing.question import read_question
from moe.routing.sums import find_sums, read_numbers
from tests.bench.teaching import work_out

EXAM = """Which of the following is NOT a noble gas?
A. Helium
B. Neon
C. Oxygen
D. Argon
Answer:"""
PROBLEM = "Ann has 3 boxes with 12 pens each and gives 7 pens away. How many pens are left?"
RIGHT = "Ann has 3 * 12 = <<3*12=36>>36 pens.\nShe keeps 36 - 7 = <<36-7=29>>29 pens.\n#### 29"
WRONG = "Ann has 3 * 12 = <<3*12=38>>38 pens.\nShe keeps 38 - 7 = <<38-7=31>>31 pens.\n#### 31"


def test_a_question_is_read_apart_from_its_options() -> None:
    figures = read_question(EXAM)
    assert figures["has options"] == 1.0
    assert figures["options of a word"] == 1.0
    assert figures["shouted"] > 0 and figures["negation"] > 0
    assert figures["words"] == math.log1p(9)


def test_the_cue_at_the_end_changes_nothing() -> None:
    assert read_question(EXAM) == read_question(EXAM.removesuffix("\nAnswer:"))


def test_a_single_lettered_line_is_no_choice() -> None:
    assert read_question("Is this right?\nA. Smith")["has options"] == 0.0


@pytest.mark.parametrize("text", [
    "", " ", "?", "A. \nB. ", "😀", "１２３", "\x00", "1" * 5000, "A. x\n" * 5000, "(" * 9000])
def test_any_text_gives_the_same_figures(text: str) -> None:
    figures = read_question(text)
    assert list(figures) == list(read_question(EXAM))
    assert all(map(math.isfinite, figures.values()))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_is_written_gives_a_probability(question: str, answer: str) -> None:
    hardness = load_hardness()
    assert 0 < hardness.foresee(question) < 1
    assert 0 < hardness.doubt(question, answer, work_out) < 1


@pytest.mark.parametrize(("answer", "holds"), [
    ("3 * 12 = 36", True), ("3 * 12 = 38", False), ("3 × 12 = 36 pens", True), ("$1,200 / 4 = $300", True),
    ("$1,200 / 4 = $350", False), ("20/60 = 33%", True), ("10/3 = 3.33", True), ("10/3 = 3.5", False),
    ("30 cycles/day * $1.20/task * 5 tasks/cycle * 7 days = $126/week", False), ("<<48/2=24>>", True),
    ("<<48/2=25>>", False), ("so she has 2 x 3 = 6 apples.", True), ("2 + 3 = 1 + 4", True), ("2 + 3 = 1 + 5", False),
])
def test_sums_are_worked_out_again(answer: str, holds: bool) -> None:
    [found] = [each for each in find_sums(answer, work_out) if each.is_read]
    assert found.holds is holds


@pytest.mark.parametrize("answer", ["x = 5", "a + b = c", "the total = 12", "=", "1 = 1", "==== 3 ====", "2 * = 4"])
def test_what_is_no_sum_is_not_called_wrong(answer: str) -> None:
    assert not [each for each in find_sums(answer, work_out) if each.is_read and not each.holds]


def test_a_chain_is_a_sum_for_each_link() -> None:
    assert [each.holds for each in find_sums("2 + 3 + 4 = 5 + 4 = 10", work_out)] == [True, False]


def test_numbers_are_read_without_their_dress() -> None:
    assert read_numbers("$1,234.50 and -3, .5") == [Fraction("1234.5"), Fraction(-3), Fraction(1, 2)]


def test_a_wrong_sum_makes_an_answer_doubtful() -> None:
    hardness = load_hardness()
    right, wrong = (hardness.doubt(PROBLEM, answer, work_out) for answer in (RIGHT, WRONG))
    assert wrong > right + 0.2


def test_a_cut_answer_is_doubtful() -> None:
    hardness = load_hardness()
    assert hardness.doubt(PROBLEM, RIGHT[:40], work_out) > hardness.doubt(PROBLEM, RIGHT, work_out)


def test_numbers_that_an_answer_never_uses_are_counted() -> None:
    figures = read_answer(PROBLEM, "3 * 12 = 36\n#### 36", work_out)
    assert figures["numbers unused"] == math.log1p(1)
    assert read_answer(PROBLEM, RIGHT, work_out)["numbers unused"] == 0.0


def test_a_word_problem_has_weights_of_its_own() -> None:
    assert is_problem(read_question(PROBLEM))
    assert not is_problem(read_question(EXAM))
    assert not is_problem(read_question("Who was Kant?"))


def test_hard_subjects_are_foreseen_to_fail_more_often() -> None:
    hardness = load_hardness()
    hard = ("Statement 1 | Every group of order p^2 is abelian. Statement 2 | If G is finite and x in G, then x^n = e "
            "for some n.\nA. True, True\nB. False, False\nC. True, False\nD. False, True\nAnswer:")
    assert hardness.foresee(hard) > hardness.foresee(EXAM) + 0.1


def test_the_shipped_weights_fit_what_is_read() -> None:
    hardness = load_hardness()
    assert set(hardness.question.names) == set(hardness.problem.names) == set(read_question(EXAM))
    assert set(hardness.answer.names) == set(read_both(PROBLEM, RIGHT, work_out))
    for each in (hardness.question, hardness.problem, hardness.answer):
        assert len(each.names) == len(each.mean) == len(each.scale) == len(each.weights)
        assert each.slope > 0 and min(each.scale) > 0
    assert FILE.stat().st_size < 20_000


def test_the_reasons_are_the_strongest_shares() -> None:
    figures = read_both(PROBLEM, WRONG, work_out)
    reasons = load_hardness().answer.explain(figures)
    assert len(reasons) == 3 and [share for _, share in reasons] == sorted((s for _, s in reasons), reverse=True)
    assert any("wrong" in name for name, _ in reasons)


def test_a_missing_figure_is_an_error() -> None:
    with pytest.raises(KeyError):
        Logistic(("x",), (0.0,), (1.0,), (1.0,), 1.0, 0.0).rate({})


def test_broken_weights_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text('{"source": ""}')
    with pytest.raises(msgspec.ValidationError):
        load_hardness(tmp_path / "w.json")
    with pytest.raises(OSError):
        load_hardness(tmp_path / "none.json")
    assert isinstance(load_hardness(), Hardness)


@pytest.mark.parametrize("part", [
    "a = b ", "1 + 1 = 2 ", "((((", "<<1+1=2>>", "A. x\n", "= ", "9,", "1 ", "x ", "$", "..", "- "])
def test_a_long_text_takes_no_longer_than_a_short_one(part: str) -> None:
    text, hardness = part * (200_000 // len(part)), load_hardness()
    began = time.thread_time()
    hardness.foresee(text)
    hardness.doubt(text, text, work_out)
    assert time.thread_time() - began < 0.5
