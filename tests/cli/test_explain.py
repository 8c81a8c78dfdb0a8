"""`explain`: what decided, with a real encoder and by keywords."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.cli.house import CODE, LEARNERS, MATHS, NEITHER, House
from tests.routing.prompts import ASKED, EXAMPLES


@pytest.fixture
def house(fitted: House) -> House:
    fitted.write(config={"router": {"model_path": None, "confidence_threshold": 0.4}}, experts=LEARNERS)
    return fitted


def reasons(house: House, text: str, *words: str) -> dict[str, Any]:
    done = house.moe("explain", text, "--json", *words)
    assert (done.returncode, done.stderr) == (0, "")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_the_parts_add_up_to_the_score_that_route_shows(house: House) -> None:
    told = reasons(house, ASKED["chef"])
    scores = json.loads(house.moe("route", "--json", ASKED["chef"]).stdout)["scores"]
    assert (told["chosen"], told["first"], told["stage"]) == ("chef", "chef", "embedding")
    assert [part["name"] for part in told["parts"]] == ["dense", "grams", "nearest"]
    for side, label in (("first", told["first"]), ("second", told["second"])):
        assert sum(part[side] for part in told["parts"]) == pytest.approx(scores[label]["score"], abs=1e-3)
    shown = {label: row["probability"] for label, row in scores.items()}
    assert told["probabilities"] == pytest.approx(shown, abs=1e-4)


def test_the_nearest_examples_are_those_that_share_most_words(house: House) -> None:
    told = reasons(house, "a recipe for tomato soup please")
    near = told["nearest"][0]
    assert (near["expert"], near["kind"], near["text"]) == ("chef", "example", "a recipe for tomato soup")
    assert near["cosine"] > 0.9
    assert [each["cosine"] for each in told["nearest"]] == sorted((n["cosine"] for n in told["nearest"]), reverse=True)
    known = {text for own in EXAMPLES.values() for text in own} | {f"a {label}" for label in EXAMPLES} | set(EXAMPLES)
    assert {each["text"] for each in told["nearest"]} <= known


def test_a_word_s_weight_is_what_its_loss_costs(house: House) -> None:
    text = "zyx landlord"
    told = reasons(house, text)
    (landlord,) = [word for word in told["words"] if word["word"] == "landlord"]
    scores = [json.loads(house.moe("route", "--json", asked).stdout)["scores"] for asked in (text, "zyx ")]
    leads = [score[told["first"]]["score"] - score[told["second"]]["score"] for score in scores]
    assert landlord["needed"] == pytest.approx(leads[0] - leads[1], abs=1e-3)
    assert told["words"][0]["word"] == "landlord"
    assert landlord["grams"] > 0


def test_what_a_prompt_looks_like_is_told(house: House) -> None:
    told = [reasons(house, text) for text in ("rice and egg", "rice and egg?")]
    assert {look["name"] for look in told[1]["looks"]} - {look["name"] for look in told[0]["looks"]} == {"question"}


def test_the_table_says_it_in_words(house: House) -> None:
    done = house.moe("explain", ASKED["lawyer"])
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert re.match(r"lawyer: stage embedding, confidence [01]\.\d", lines[0])
    assert "which reaches confidence_threshold (0.4)" in lines[1]
    assert any(line.startswith("part of the score  lawyer") for line in lines)
    assert any(line.startswith("landlord") for line in lines)
    near = [line.split(maxsplit=3)[1:] for line in lines[-5:]]
    assert ["lawyer", "example", "the contract has no date"] in near


def test_a_near_tie_and_nobody_are_said(house: House) -> None:
    done = house.moe("explain", "soup pain")
    told = reasons(house, "soup pain")
    assert told["is_tie"] == ("a near-tie: " in done.stdout)
    assert {told["first"], told["second"]} == {"chef", "doctor"}
    house.write(config={"router": {"model_path": None, "confidence_threshold": 0.999}}, experts=LEARNERS)
    done = house.moe("explain", "soup pain")
    assert "fallback: stage fallback" in done.stdout
    assert "nobody is sure" in done.stdout and "below confidence_threshold (0.999)" in done.stdout


def test_the_four_signals_are_told_with_their_weights(house: House) -> None:
    house.write(config={"router": {"model_path": None, "scorer": "lemoe"}}, experts=LEARNERS)
    told = reasons(house, "a chef")
    scores = json.loads(house.moe("route", "--json", "a chef").stdout)["scores"]
    assert [part["name"] for part in told["parts"]] == ["max_keyword", "description", "mean_keyword", "top3_vote"]
    assert sum(part["first"] for part in told["parts"]) == pytest.approx(scores["chef"]["score"], abs=1e-3)
    assert (told["nearest"][0]["text"], told["nearest"][0]["kind"]) == ("a chef", "description")
    assert told["looks"] == []


def test_keywords_are_told_with_their_experts(inside: House) -> None:
    told = reasons(inside, f"{CODE} And the derivative?")
    assert {(found["expert"], found["keyword"]) for found in told["keywords"]} == {
        ("código", "python"), ("código", "segfault"), ("math", "derivative"),
    }
    assert (told["chosen"], told["stage"], told["parts"], told["words"]) == ("código", "keyword", [], [])
    assert "its keywords give it" in inside.moe("explain", MATHS).stdout


def test_a_prompt_that_nothing_is_known_of(inside: House) -> None:
    told = reasons(inside, NEITHER)
    assert (told["chosen"], told["keywords"], told["is_tie"]) == ("fallback", [], False)


def test_the_text_may_come_through_a_pipe_and_what_acts_on_a_terminal_is_shown(house: House) -> None:
    done = house.moe("explain", "-", stdin="egg \x1b[31m soup")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "\\x1b[31m" in done.stdout
    assert house.moe("explain", stdin=" ").returncode == 2
