"""Every case of the tables: what a tool must say, which prompt asks for it, and which prompts nobody may take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from moe.tools.base import Setting
from moe.tools.equations.worker import Worker
from moe.tools.known import open_recogniser, open_toolbox
from moe.tools.questions.recogniser import Recogniser
from moe.tools.toolbox import Toolbox
from tests.statutes import open_laws

FOLDER = Path(__file__).parent / "cases"
# Of the prompts that a tool should answer, so many may be left to an expert; none may be answered wrongly.
LEAST_RECALL = 0.95


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]


FAMILIES = sorted(file.stem for file in FOLDER.glob("*.jsonl") if not file.stem.endswith("_not"))
CASES = [pytest.param(case, id=f"{family}-{number}")
         for family in FAMILIES for number, case in enumerate(read(FOLDER / f"{family}.jsonl"), 1)]
ORDINARY = [pytest.param(case["prompt"], id=f"{file.stem}-{number}")
            for file in sorted(FOLDER.glob("*_not.jsonl")) for number, case in enumerate(read(file), 1)]


def fits(expected: Any, found: Any) -> bool:
    """Of an object, what is named must be there; anything else must be the same."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return all(name in found and fits(value, found[name]) for name, value in expected.items())
    return bool(expected == found and type(expected) is type(found))


@pytest.mark.parametrize("case", CASES)
def test_a_tool_gives_the_exact_answer(case: dict[str, Any], toolbox: Toolbox) -> None:
    outcome = toolbox.call(case["tool"], case["args"], language=case["lang"])
    assert fits(case["result"], json.loads(json.dumps(outcome.result))), outcome.result
    assert outcome.text == case.get("text", outcome.text)
    assert outcome.text.strip()


@pytest.mark.parametrize("family", FAMILIES)
def test_nearly_every_question_is_recognised_and_none_answered_wrongly(family: str, recogniser: Recogniser) -> None:
    asked = [case for case in read(FOLDER / f"{family}.jsonl") if "prompt" in case]
    missed = []
    for case in asked:
        answered = recogniser.answer(case["prompt"])
        if answered is None:
            missed.append(case["prompt"])
            continue
        assert answered.asked.tool == case["tool"], case["prompt"]
        assert fits(case["result"], json.loads(json.dumps(answered.outcome.result))), case["prompt"]
    assert len(missed) <= (1 - LEAST_RECALL) * len(asked), missed


@pytest.mark.parametrize("prompt", ORDINARY)
def test_an_ordinary_prompt_is_left_to_the_experts(prompt: str, recogniser: Recogniser) -> None:
    answered = recogniser.answer(prompt)
    assert answered is None, answered


@pytest.fixture(scope="module")
def toolbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toolbox]:
    with closing(Worker()) as worker, open_laws(tmp_path_factory.mktemp("laws")) as laws:
        worker.warm()
        yield open_toolbox(Setting(solver=worker, laws=laws))


@pytest.fixture(scope="module")
def recogniser(toolbox: Toolbox) -> Recogniser:
    return open_recogniser(toolbox)
