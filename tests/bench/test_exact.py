"""The benchmark of the exact tools counts what it says it counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moe.tools.base import Setting
from moe.tools.known import open_toolkit
from moe.tools.questions.recogniser import Recogniser
from tests.bench.exact import GENUINE, measure_captures, tally


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return open_toolkit(Setting()).recogniser


def test_a_case_is_answered_rightly_wrongly_or_not_at_all(recogniser: Recogniser) -> None:
    cases = [
        {"tool": "calculate", "result": "4", "prompt": "what is 2 + 2"},
        {"tool": "calculate", "result": "5", "prompt": "what is 2 + 3 + 1"},
        {"tool": "date_diff", "result": "6", "prompt": "what is 2 * 3"},
        {"tool": "calculate", "result": "4", "prompt": "tell me something about four"},
    ]
    found = tally(cases, recogniser)
    assert (found.asked, found.answered) == (4, 3)
    assert found.wrong == ("what is 2 + 3 + 1", "what is 2 * 3")


def test_what_is_taken_counts_as_wrong_unless_it_was_found_genuine(recogniser: Recogniser, tmp_path: Path) -> None:
    genuine = next(iter(GENUINE))
    file = tmp_path / "prompts.jsonl"
    texts = [genuine, "what is 17 + 4", "tell me a story"]
    file.write_text("".join(json.dumps({"text": text, "label": "x", "lang": "en"}) + "\n" for text in texts), "utf-8")
    section = measure_captures(recogniser, [file])
    assert section.rows[-1] == ("prompts.jsonl", 3, 1, 1)
    assert section.errors == ["taken by calculate: what is 17 + 4"]
