"""`prepare`, and the commands that read once: they wait for the scorer."""

from __future__ import annotations

import json

import pytest

from tests.cli.house import LEARNERS, House
from tests.routing.prompts import ASKED, make_models


@pytest.fixture
def house(inside: House) -> House:
    """One with an encoder, whose experts have examples, and nothing fitted."""
    make_models(inside.folder / "models")
    inside.write(config={"router": {"model_path": None}}, experts=LEARNERS)
    return inside


def heads_of(house: House) -> list[str]:
    return sorted(file.name for file in (house.folder / "data" / "heads").glob("*"))


def test_it_leaves_a_head_that_the_next_command_uses(house: House) -> None:
    done = house.moe("prepare")
    assert (done.returncode, done.stdout, done.stderr) == (0, "the router is ready\n", "")
    (made,) = heads_of(house)
    head = house.moe("route", ASKED["chef"]).stdout.splitlines()[0]
    assert head.split() == ["expert", "score", "probability", "dense", "grams", "nearest"]
    assert heads_of(house) == [made]


def test_one_prompt_waits_for_the_scorer(house: House) -> None:
    told = json.loads(house.moe("route", "--json", ASKED["chef"]).stdout)
    assert (told["expert"], told["stage"]) == ("chef", "embedding")
    assert {"dense", "grams", "nearest"} < set(told["scores"]["chef"])


def test_a_batch_waits_for_the_scorer_of_the_experts_it_is_given(house: House) -> None:
    other = [LEARNERS[0], *({**expert, "label": f"my {expert['label']}"} for expert in LEARNERS[1:])]
    (house.folder / "other.json").write_text(json.dumps({"experts": other}), encoding="utf-8")
    rows = "".join(json.dumps({"id": label, "text": text}) + "\n" for label, text in ASKED.items())
    (house.folder / "in.jsonl").write_text(rows, encoding="utf-8")
    done = house.moe("route", "--batch", "in.jsonl", "out.jsonl", "--experts", "other.json")
    assert (done.returncode, done.stderr) == (0, "")
    labels = [json.loads(line) for line in (house.folder / "out.jsonl").read_text("utf-8").splitlines()]
    assert {row["id"]: row["label"] for row in labels} == {label: f"my {label}" for label in ASKED}


def test_without_an_encoder_it_says_so(inside: House) -> None:
    done = inside.moe("prepare")
    assert done.returncode == 0
    assert "keywords" in done.stdout


def test_what_cannot_be_kept_is_said_and_serves_this_once(house: House) -> None:
    (house.folder / "data").mkdir()
    (house.folder / "data" / "heads").write_text("in the way", encoding="utf-8")
    done = house.moe("prepare")
    assert done.returncode == 1
    assert "cannot be kept" in done.stdout and "data/heads" in done.stdout
    assert "dense" in json.loads(house.moe("route", "--json", ASKED["chef"]).stdout)["scores"]["chef"]
