"""A function as a tool: its schema, its arguments as they come from outside, and what escapes it."""

from __future__ import annotations

from typing import Annotated

import pytest
from msgspec import Meta

from moe.errors import BadArguments, ToolError, UnknownTool
from moe.tools.base import Outcome, Setting, tool
from moe.tools.toolbox import Toolbox


@tool("test")
def repeat(
    text: str, times: Annotated[int, Meta(ge=0, le=9)] = 2, mark: str | None = None, *, setting: Setting
) -> Outcome:
    """Says a text again and again.

    text: what is said,
      once more
    times: how often
    """
    if not text:
        raise ToolError("there is nothing to say")
    return Outcome(result=text * times, text=f"{setting.language}: {text * times}{mark or ''}")


@tool("test")
def stumble(*, setting: Setting) -> Outcome:
    """Always fails."""
    raise ZeroDivisionError(setting.language)


def test_a_schema_is_read_from_signature_and_docstring() -> None:
    assert repeat.name == "repeat"
    assert repeat.description == "Says a text again and again."
    assert repeat.schema == {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "what is said, once more"},
            "times": {"type": "integer", "minimum": 0, "maximum": 9, "description": "how often", "default": 2},
            "mark": {"type": "string"},
        },
        "required": ["text"],
        "additionalProperties": False,
    }


def test_it_is_called_like_the_function_it_was() -> None:
    assert repeat("ha", 3).result == "hahaha"


def test_numbers_may_come_as_text_and_null_is_nothing() -> None:
    assert repeat.call({"text": "ha", "times": "3", "mark": None}, Setting(language="de")).text == "de: hahaha"


def test_every_wrong_argument_is_named_with_its_path() -> None:
    with pytest.raises(BadArguments) as caught:
        repeat.call({"times": 99, "tone": "loud"}, Setting())
    assert [path for path, _ in caught.value.faults] == ["$.tone", "$.text", "$.times"]
    assert caught.value.status == 400


@pytest.mark.parametrize("value", [None, 7, [], {}, "x" * 1_000_001])
def test_a_text_must_be_one_of_bearable_length(value: object) -> None:
    with pytest.raises(BadArguments):
        repeat.call({"text": value}, Setting())


def test_a_tool_that_stumbles_says_so_and_nothing_else_escapes() -> None:
    box = Toolbox((repeat, stumble), Setting())
    with pytest.raises(ToolError, match="stumble"):
        box.call("stumble", {})
    with pytest.raises(ToolError, match="nothing to say"):
        box.call("repeat", {"text": ""})
    with pytest.raises(UnknownTool):
        box.call("shout", {})


def test_a_toolbox_knows_its_tools() -> None:
    box = Toolbox((repeat,), Setting())
    assert "repeat" in box and "stumble" not in box
    assert [each.name for each in box] == ["repeat"]
