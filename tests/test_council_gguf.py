"""Models that orchestrate with nothing but GGUF files behind them: every call is made here, and there is no node.

The files say what they were made to say. The planner's plan has to pass the grammar of its schema on the way.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from moe.pipeline.disclaimers import DISCLAIMERS
from moe.pipeline.modes.concise import MOST_WORDS
from moe.pipeline.modes.words import count_words
from tests.live import Live, live_server
from tests.models.saying import write_saying
from tests.three import DIALECTS, Caller, Dialect, Heard

pytest.importorskip("llama_cpp", reason="the set `local` is not installed")

LOAN = "240000 euros", "3.1 percent", "25 years"
COMPOUND = (f"Work out the algebra of a loan of {LOAN[0]} at {LOAN[1]} over {LOAN[2]}, then check the contract law of "
            "an early repayment, and finally tell me what the bank may ask for.")
TASKS = ({"id": "sum", "task": f"Work out the algebra of a loan of {LOAN[0]}.", "category": "math", "depends_on": []},
         {"id": "rules", "task": "Check the contract law of an early repayment.", "category": "law",
          "depends_on": ["sum"]})
PLAN = json.dumps({"tasks": [{**task, "tool": "none", "args": [], "search": ""} for task in TASKS]})
DOUBTFUL = ("An axolotl eats 12 worms a day and 3 more each week. If the price of a worm rises by 4% every month and a "
            "keeper has 250 euros, how many months can he feed it, at most?")
SUM, RULES, MERGED = "About 1150 euros each month.", "It is allowed, at a fee.", (
    "You pay about 1150 euros a month.\n\n    four blanks stay\n\nAn early repayment costs a fee.")
DEEP = "It comes to 9,876 euros in all."
VERDICT = json.dumps({"why": "", "verdict": "right", "edits": [], "answer": ""})
CODE = "for year in years:\n    pay(year)  # `all`"
TALE = " ".join(f"This is sentence {number} of a tale told{number} in eight words." for number in range(20))
SAID = {"plan": PLAN, "math": SUM, "law": RULES, "merge": MERGED, "deep": DEEP, "tale": TALE,
        "code": f"Sure, here it is:\n\n```python\n{CODE}\n```\n\nAnything else?",
        "verdict": VERDICT, "prose": "Gladly! First of all, a plan has to be thought about."}
UNSURE = 0.08  # what a model gives each of its tokens that had better asked somebody
WAYS = list(itertools.product(DIALECTS, (True, False)))


def expert(number: int, label: str, file: str, *keywords: str, **fields: Any) -> dict[str, Any]:
    return {"id": number, "label": label, "type": "local", "format": "gguf", "model_path": f"{file}.gguf",
            "keywords": [*keywords], **fields}


TEAM = (expert(0, "fallback", "plan"), expert(1, "math", "math", "algebra", "solve"),
        expert(2, "law", "law", "contract", "repayment"), expert(3, "general", "merge", "quokka", tier=2),
        expert(5, "coder", "code", "python"), expert(6, "teller", "tale", "bedtime"))
GREEDY: dict[Dialect, dict[str, Any]] = {
    "openai": {"temperature": 0}, "anthropic": {"temperature": 0}, "ollama": {"options": {"temperature": 0}}}


class House(NamedTuple):
    server: Live
    caller: Caller

    def ask(
        self, text: str, *, dialect: Dialect = "openai", stream: bool = False, mode: str = "", **body: Any
    ) -> tuple[Heard, dict[str, Any]]:
        """What the client got, and the trace of it."""
        heard = self.caller.ask(text, dialect=dialect, model=f"moe-orchestrator{mode}", stream=stream,
                                **GREEDY[dialect] | body)
        assert (heard.status, heard.ends, len(heard.finishes)) == (200, 1, 1), heard.raw
        name = heard.headers["X-Request-Id"]
        trace: dict[str, Any] = requests.get(f"{self.server.url}/v1/requests/{name}", timeout=30).json()
        return heard, trace

    def loaded(self) -> set[str]:
        models = requests.get(f"{self.server.url}/api/ps", timeout=30).json()["models"]
        return {entry["name"].removesuffix(":latest") for entry in models}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saying") / "models"
    folder.mkdir()
    for name, text in SAID.items():
        write_saying(folder / f"{name}.gguf", text)
    write_saying(folder / "doubt.gguf", "It may come to 5,432 euros.", sure=UNSURE)
    return folder


@contextmanager
def open_house(
    tmp: Path, models: Path, *experts: dict[str, Any], max_models: int = 9, **pipeline: Any
) -> Iterator[House]:
    config = {"memory": {"max_models": max_models}, "ai_engine": {"n_ctx": 8192}, "privacy": {"keep_text": True},
              "pipeline": pipeline}
    with live_server(tmp, config=config, experts=experts, models_folder=models) as server:
        caller = Caller(server.url)
        yield House(server, caller)
        caller.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("house"), models, *TEAM) as opened:
        yield opened


def calls(trace: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(span["stage"], span["name"], span["model"]) for span in trace["spans"] if span["model"]]


def check_counts(heard: Heard, trace: dict[str, Any], asked: int) -> None:
    """What the client is told is what all calls together took."""
    spans = [span for span in trace["spans"] if span["model"]]
    assert [span["outcome"] for span in spans] == ["done"] * asked
    assert trace["calls"] == heard.extras["calls"] == asked
    took = tuple(sum(span[f"{kind}_tokens"] for span in spans) for kind in ("prompt", "completion"))
    assert heard.usage == took == (trace["prompt_tokens"], trace["completion_tokens"])
    assert min(took) > 0 and not trace["estimated"]


@pytest.mark.parametrize(("dialect", "stream"), WAYS)
def test_a_council_of_files_plans_works_and_merges(house: House, dialect: Dialect, stream: bool) -> None:
    heard, trace = house.ask(COMPOUND, dialect=dialect, stream=stream)
    assert calls(trace) == [("planner", "fallback", "plan.gguf"), ("workers", "math", "math.gguf"),
                            ("workers", "law", "law.gguf"), ("merger", "general", "merge.gguf")]
    assert heard.text == MERGED
    assert (trace["first_ms"] is not None) == stream
    assert (trace["strategy"], trace["outcome"], trace["model"]) == ("council", "done", "merge.gguf")
    check_counts(heard, trace, asked=4)
    assert house.loaded() >= {"plan", "math", "law", "merge"}


def test_the_plan_is_the_planners_and_carries_what_the_user_set_down(house: House) -> None:
    _, trace = house.ask(COMPOUND)
    (plan,) = (span for span in trace["spans"] if span["name"] == "plan")
    assert plan["reason"] == "math, law: as the planner divided it"
    first, second = plan["text"].split("\nrules ")
    assert first.startswith("sum math: Work out")
    assert second.startswith("law after sum: Check")
    assert all(words in part for words in LOAN for part in (first, second))
    math, law = (span for span in trace["spans"] if span["stage"] == "workers")
    assert math["ended_ms"] <= law["started_ms"]


def test_a_council_is_as_sure_as_its_experts_tokens_were(house: House) -> None:
    heard, trace = house.ask(COMPOUND)
    sure = [span["confidence"] for span in trace["spans"] if span["stage"] == "workers"]
    assert all(0.65 < each < 1 for each in sure)
    assert heard.extras["answer_confidence"] == pytest.approx(sum(sure) / 2, abs=1e-3)


def test_who_follows_a_council_sees_who_is_at_it(house: House) -> None:
    heard, _ = house.ask(COMPOUND, dialect="ollama", stream=True, think=True)
    assert "planner: 2 tasks (math, law)" in heard.thought
    assert "law (law.gguf)" in heard.thought
    assert heard.text == MERGED
    assert not house.ask(COMPOUND, dialect="ollama", stream=True, think=False)[0].thought


def test_a_planner_that_writes_no_plan_is_asked_twice_and_the_routers_own_takes_over(
    tmp_path: Path, models: Path
) -> None:
    """The grammar holds it to a plan's beginning, of which it never finds the end."""
    with open_house(tmp_path, models, expert(0, "fallback", "prose"), *TEAM[1:]) as house:
        heard, trace = house.ask(COMPOUND)
        told = [span["reason"] for span in trace["spans"] if span["name"] == "plan"]
        assert [reason.endswith("by the router's scores, since what the planner wrote is no plan")
                for reason in told] == [True]
        assert [call[:2] for call in calls(trace)][:2] == [("planner", "fallback")] * 2
        answering = calls(trace)[2:]
        assert {call[2] for call in answering} <= {"math.gguf", "law.gguf", "merge.gguf"}
        assert heard.text in (SUM, RULES, MERGED)
        check_counts(heard, trace, asked=2 + len(answering))


def test_a_council_needs_room_for_no_more_than_one_file_at_a_time(tmp_path: Path, models: Path) -> None:
    """Its experts, who begin together, then have to wait for each other."""
    tasks = json.loads(PLAN)["tasks"]
    tasks[1]["depends_on"] = []
    write_saying(models / "apart.gguf", json.dumps({"tasks": tasks}))
    with open_house(tmp_path, models, expert(0, "fallback", "apart"), *TEAM[1:], max_models=1) as house:
        heard, trace = house.ask(COMPOUND)
        first, second = (span for span in trace["spans"] if span["stage"] == "workers")
        assert max(first["started_ms"], second["started_ms"]) < first["ended_ms"]
        assert {first["model"], second["model"]} == {"math.gguf", "law.gguf"}
        assert heard.text == MERGED
        assert house.loaded() == {"merge"}
        check_counts(heard, trace, asked=4)


def test_in_a_council_who_is_not_sure_has_a_second_model_look(tmp_path: Path, models: Path) -> None:
    experts = [expert(1, "math", "doubt", "algebra", fallback="deep"),
               expert(7, "deep", "deep", tier=2, routable=False)]
    with open_house(tmp_path, models, TEAM[0], *experts, *TEAM[2:4]) as house:
        heard, trace = house.ask(COMPOUND)
        assert [call[1:] for call in calls(trace) if call[0] == "workers"] == [
            ("math", "doubt.gguf"), ("deep", "deep.gguf"), ("law", "law.gguf")]
        first, second = (span["confidence"] for span in trace["spans"] if span["name"] in ("math", "deep"))
        assert first < 0.65 < second
        assert heard.text == MERGED
        check_counts(heard, trace, asked=5)


@pytest.mark.parametrize("stream", [True, False])
def test_a_doubtful_answer_of_one_file_is_left_to_a_larger_one(tmp_path: Path, models: Path, stream: bool) -> None:
    """An expert of a node names a model for each tier; where no node has them, the files of that name serve."""
    tiers = {"id": 1, "label": "math", "keywords": ["axolotl"], "models": {"1": "doubt", "2": "deep"}}
    with open_house(tmp_path, models, TEAM[0], tiers) as house:
        heard, trace = house.ask(DOUBTFUL, stream=stream)
        assert trace["strategy"] == heard.extras["strategy"] == "escalate"
        assert [call[1:] for call in calls(trace)] == [("math", "doubt"), ("math", "deep")]
        assert heard.text == DEEP
        assert house.loaded() == {"doubt", "deep"}
        (look,) = (span for span in trace["spans"] if span["name"] == "escalation")
        assert look["confidence"] < 0.65 < heard.extras["answer_confidence"]
        assert "logprobs -" in look["reason"] and look["reason"].endswith("tier 2 is asked")
        check_counts(heard, trace, asked=2)


@pytest.mark.parametrize("stream", [True, False])
def test_code_alone_comes_of_a_file_that_talks_around_it(house: House, stream: bool) -> None:
    heard, trace = house.ask("Please pay each year in python.", mode="-code", stream=stream)
    assert heard.text == f"```python\n{CODE}\n```"
    assert calls(trace) == [("workers", "coder", "code.gguf")]
    check_counts(heard, trace, asked=1)


@pytest.mark.parametrize("stream", [True, False])
def test_a_file_that_cannot_be_brief_is_asked_once_and_cut_at_a_sentence(house: House, stream: bool) -> None:
    heard, trace = house.ask("A bedtime tale, please.", mode="-concise", stream=stream)
    assert count_words(TALE) > MOST_WORDS >= count_words(heard.text)
    assert TALE.startswith(heard.text) and heard.text.endswith(".")
    assert [call[2] for call in calls(trace)] == ["tale.gguf"] * 2
    check_counts(heard, trace, asked=2)


def test_a_plain_question_is_one_call_with_a_confidence_of_its_own(house: House) -> None:
    heard, trace = house.ask("What is a quokka?")
    assert heard.text == MERGED
    assert calls(trace) == [("workers", "general", "merge.gguf")]
    assert 0.5 < heard.extras["answer_confidence"] < 1
    check_counts(heard, trace, asked=1)


def test_a_file_checks_what_another_one_says_of_health(tmp_path: Path, models: Path) -> None:
    experts = expert(1, "medical_consult", "deep", "fever"), expert(2, "checker", "verdict", "numbat", tier=2)
    with open_house(tmp_path, models, TEAM[0], *experts, judge="checker") as house:
        heard, trace = house.ask("What helps against a fever?")
        assert calls(trace) == [("workers", "medical_consult", "deep.gguf"), ("critic", "checker", "verdict.gguf")]
        (check,) = (span for span in trace["spans"] if span["stage"] == "critic" and not span["model"])
        assert "right" in check["reason"]
        assert heard.text == f"{DEEP}\n\n{DISCLAIMERS['medical_consult']['en']}"
        check_counts(heard, trace, asked=2)
