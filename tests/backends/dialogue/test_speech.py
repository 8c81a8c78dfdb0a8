from __future__ import annotations

import json
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.backends.dialogue.speech import Speech
from moe.core import Chunk, Text, Thinking, ToolCall

TOOLS = frozenset({"f", "g"})


def say(text: str, cuts: Callable[[str], list[str]], **options: Any) -> list[Chunk]:
    speech = Speech(**options)
    chunks: list[Chunk] = []
    for piece in cuts(text):
        chunks += speech.feed(piece)
    return chunks + speech.finish()


def brief(chunks: list[Chunk]) -> list[Any]:
    """Texts joined, calls as (name, arguments)."""
    told: list[Any] = []
    for kind, group in groupby(chunks, type):
        if kind is ToolCall:
            told += [(call.name, json.loads(call.arguments)) for call in group if isinstance(call, ToolCall)]
        else:
            word = "thinks" if kind is Thinking else "says"
            told.append((word, "".join(each.text for each in group if isinstance(each, (Text, Thinking)))))
    return told


CASES = [
    ("<think>\nhmm  a\n</think>\n\nHello <b>", {"thinks": True}, [("thinks", "hmm  a"), ("says", "Hello <b>")]),
    ("hmm</think>\nHi", {"thinks": True, "is_thinking": True}, [("thinks", "hmm"), ("says", "Hi")]),
    ("[THINK]a[/THINK]b", {"thinks": True}, [("thinks", "a"), ("says", "b")]),
    ("Hi <think>", {"thinks": True}, [("says", "Hi <think>")]),
    ("<think>never ends ", {"thinks": True}, [("thinks", "never ends")]),
    ("<think></think>x", {"thinks": True}, [("says", "x")]),
    ("<thin air", {"thinks": True}, [("says", "<thin air")]),
    ("<think>a</think>b", {}, [("says", "<think>a</think>b")]),
    ("<think>x</think>\n\n<tool_call>{\"name\":\"f\"}</tool_call>", {"thinks": True, "tools": TOOLS},
     [("thinks", "x"), ("f", {})]),
    ('Sure.\n<tool_call>\n{"name":"f","arguments":{"a":1}}\n</tool_call>\n<tool_call>{"name":"g","arguments":{}}'
     "</tool_call>", {"tools": TOOLS}, [("says", "Sure.\n"), ("f", {"a": 1}), ("g", {})]),
    ("<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\ntwo\n</parameter>\n</function>\n"
     "</tool_call>", {"tools": TOOLS}, [("f", {"a": 1, "b": "two"})]),
    ('{"name": "f", "parameters": {"a": "x"}}', {"tools": TOOLS}, [("f", {"a": "x"})]),
    ('<|python_tag|>{"name": "f", "parameters": {}}; {"name": "g", "parameters": {}}', {"tools": TOOLS},
     [("f", {}), ("g", {})]),
    ('{"type": "function", "function": {"name": "f", "arguments": "{\\"a\\": 2}"}}', {"tools": TOOLS},
     [("f", {"a": 2})]),
    ('[TOOL_CALLS] [{"name":"f","arguments":{"a":1}},{"name":"g","arguments":{}}]', {"tools": TOOLS},
     [("f", {"a": 1}), ("g", {})]),
    ('[TOOL_CALLS]f[ARGS]{"a":1}[TOOL_CALLS]g[CALL_ID]x1[ARGS]{}', {"tools": TOOLS}, [("f", {"a": 1}), ("g", {})]),
]
NOT_CALLS = [
    '{"name": "other", "parameters": {"a": "x"}}', '{"answer": 42}', '{"name', '[1, 2]', "{", "<tool_call> broken "
    "</tool_call> and on", "<tool_call>{\"name\": 1}</tool_call>", "[TOOL_CALLS] oh", "a < b and <tool",
    '{"name": "f"} is how you call it',
]


@pytest.mark.parametrize(("text", "options", "told"), CASES)
@pytest.mark.parametrize("length", [1, 2, 5, 1000])
def test_each_familys_form_is_understood_wherever_the_pieces_are_cut(
    text: str, options: dict[str, Any], told: list[Any], length: int
) -> None:
    def cuts(whole: str) -> list[str]:
        return [whole[at:at + length] for at in range(0, len(whole), length)]

    assert brief(say(text, cuts, **options)) == told


@pytest.mark.parametrize("text", NOT_CALLS)
def test_what_looks_like_a_call_and_is_none_stays_text(text: str) -> None:
    chunks = say(text, list, tools=TOOLS)
    assert brief(chunks) == [("says", text)]


@given(st.lists(st.sampled_from(["<think>", "</think>", "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "{", '"name"',
                                 ":", '"f"', "}", "x", " ", "\n", "<", "é"]), max_size=12))
def test_no_text_is_lost_without_tools(pieces: list[str]) -> None:
    assert brief(say("".join(pieces), lambda _: pieces)) == ([("says", "".join(pieces))] if "".join(pieces) else [])


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<tool_call>", "</tool_call>", "[TOOL_CALLS]", '{"name":"f"}', "x",
                              " ", "\n", "<", "[", "{"]), max_size=10),
    st.integers(1, 7),
)
def test_how_the_pieces_are_cut_changes_nothing(pieces: list[str], length: int) -> None:
    text = "".join(pieces)
    whole = brief(say(text, lambda _: [text], thinks=True, tools=TOOLS))
    cut = say(text, lambda _: [text[at:at + length] for at in range(0, len(text), length)], thinks=True, tools=TOOLS)
    assert brief(cut) == whole


def test_answers_stream_even_when_tools_are_offered() -> None:
    speech = Speech(tools=TOOLS)
    assert [brief(speech.feed(piece)) for piece in ("The ", "sky ", "is <", "blue")] == [
        [("says", "The ")], [("says", "sky ")], [("says", "is ")], [("says", "<blue")]]


def test_json_answers_stream_as_soon_as_they_cannot_be_calls() -> None:
    speech = Speech(tools=TOOLS)
    assert speech.feed('{"na') == []
    assert brief(speech.feed('ture": ')) == [("says", '{"nature": ')]
    assert brief(speech.feed("1}")) == [("says", "1}")]


def test_calls_get_ids_of_their_own_in_ollamas_form() -> None:
    chunks = say('[TOOL_CALLS][{"name":"f"},{"name":"f"}]', list, tools=TOOLS)
    ids = [call.id for call in chunks if isinstance(call, ToolCall)]
    assert len(set(ids)) == 2
    assert all(len(each) == 13 and each.startswith("call_") for each in ids)
