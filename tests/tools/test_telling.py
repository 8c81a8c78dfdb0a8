"""What is told of a tool's findings, beside the line that answers."""

from __future__ import annotations

from moe.tools.base import Outcome
from moe.tools.telling import details, report

BARE = Outcome(result=None, text="nothing")
FULL = Outcome(result=[1], text="one", steps=("1 = 1", "so 1"), body="first\n\nsecond", source="somewhere")


def test_what_is_empty_is_left_out() -> None:
    assert report("tool", BARE) == {"tool": "tool", "result": None, "text": "nothing"}
    assert report("tool", FULL) == {"tool": "tool", "result": [1], "text": "one", "steps": ("1 = 1", "so 1"),
                                    "body": "first\n\nsecond", "source": "somewhere"}


def test_the_working_comes_before_the_words_and_the_source_last() -> None:
    assert list(details(BARE)) == []
    assert list(details(FULL)) == ["1 = 1", "so 1", "first", "", "second", "somewhere"]
