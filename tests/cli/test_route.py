"""`route "…"` and `experts`: what is known without asking a model."""

from __future__ import annotations

import json

import pytest

from tests.cli.house import CODE, MATHS, NEITHER, House
from tests.routing.prompts import ASKED


def test_the_table_marks_the_chosen_expert(house: House) -> None:
    done = house.moe("route", MATHS)
    assert (done.returncode, done.stderr) == (0, "")
    head, first, second, summary, strategy, complexity = done.stdout.splitlines()
    assert head.split() == ["expert", "score", "keyword"]
    assert first.split() == ["*", "math", "0.500", "0.500"]
    assert second.split()[:1] == ["código"]
    assert summary.startswith("math (phi4:14b): stage keyword, confidence 0.500, ")
    assert strategy == "strategy direct: one expert answers"
    assert complexity.startswith("complexity: ") and "compound 0." in complexity
    assert not house.ollama.requests_to("/api/chat")


def test_it_tells_how_a_model_that_orchestrates_would_go_about_it(house: House) -> None:
    text = f"{MATHS}, then write a program that does it, and translate its comments into German."
    told = json.loads(house.moe("route", "--json", text, "--model", "moe-orchestrator").stdout)
    assert told["strategy"] == "council"
    assert told["reason"].startswith("3 requests of several kinds (0.")
    assert max(told["complexity"], key=told["complexity"].__getitem__) == "compound"
    assert json.loads(house.moe("route", "--json", text, "--model", "lemoe").stdout)["strategy"] == "direct"


def test_json_is_what_the_server_gives(house: House) -> None:
    told = json.loads(house.moe("route", "--json", CODE).stdout)
    assert told["elapsed_ms"] >= 0
    assert {key: told[key] for key in ("expert", "model", "stage")} == {
        "expert": "código", "model": "devstral:24b", "stage": "keyword",
    }
    assert set(told["scores"]) == {"math", "código"}
    assert 0.5 < told["confidence"] == told["scores"]["código"]["keyword"] < 1


def test_the_text_may_come_through_a_pipe(house: House) -> None:
    assert "\nmath (phi4:14b): " in house.moe("route", stdin=MATHS).stdout
    assert "\nmath (phi4:14b): " in house.moe("route", "-", stdin=MATHS).stdout


def test_nobody_fits_means_the_fallback(house: House) -> None:
    told = json.loads(house.moe("route", "--json", NEITHER).stdout)
    assert (told["expert"], told["stage"], told["confidence"]) == ("fallback", "fallback", 1.0)


def test_a_model_is_judged_as_a_request_for_it_would_be(house: House) -> None:
    assert house.moe("route", NEITHER, "--model", "maths").stdout.startswith("math (phi4:14b): stage explicit, ")
    assert house.moe("route", NEITHER, "--model", "gemma3:4b").stdout.startswith("gemma3:4b (gemma3:4b): stage raw")
    done = house.moe("route", NEITHER, "--model", "nope")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "moe: model 'nope' not found\n")


def test_without_a_text_it_is_a_misuse(inside: House) -> None:
    assert inside.moe("route").returncode == 2
    assert inside.moe("route", "x", "--experts", "file").stderr == "moe: --experts goes with --batch\n"
    assert inside.moe("route", "x", "--batch", "in", "out").returncode == 2


def test_routing_needs_no_ollama(house: House) -> None:
    house.ollama.stop()
    done = house.moe("route", MATHS)
    assert (done.returncode, done.stdout.splitlines()[1].split()[:2]) == (0, ["*", "math"])


def test_experts_are_listed_with_what_serves_them(house: House) -> None:
    assert house.moe("experts").stdout == (
        "expert    type    model         tier  keywords  available\n"
        "fallback  ollama  gemma3:4b        1         0  yes\n"
        "math      ollama  phi4:14b         2        15  yes\n"
        "código    ollama  devstral:24b     1        15  yes\n"
    )


def test_experts_that_cannot_answer_say_why(inside: House) -> None:
    inside.ollama.models.remove("phi4:14b")
    rows = inside.moe("experts").stdout.splitlines()
    assert rows[1].endswith("yes")
    assert rows[2].endswith("no: the model is not installed")
    inside.ollama.stop()
    assert all(row.endswith("no: unreachable") for row in inside.moe("experts").stdout.splitlines()[1:])


def test_experts_as_json(house: House) -> None:
    told = json.loads(house.moe("experts", "--json").stdout)
    assert list(told) == ["fallback", "math", "código"]
    assert told["math"] == {
        "type": "ollama", "tier": 2, "keywords": 15, "model": "phi4:14b", "available": True, "breaker": "closed",
    }


def test_how_likely_nobody_is_and_a_near_tie_are_told(fitted: House) -> None:
    for text in (*ASKED.values(), "my landlord hurts the python soup"):
        told = json.loads(fitted.moe("route", "--json", text).stdout)
        shares = sorted((row["probability"] for row in told["scores"].values()), reverse=True)
        assert told["none_fits"] == pytest.approx(1 - sum(shares), abs=1e-3)
        assert told["near_tie"] is (shares[0] > 0.15 and shares[0] - shares[1] < 0.15)
