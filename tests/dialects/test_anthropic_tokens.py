"""The estimate of a prompt's length, against counts of two real vocabularies (tiktoken's cl100k, Claude's of 2023)."""

from __future__ import annotations

import time

import pytest

from moe.core import ChatRequest, Document, Image, Message, Text, Thinking, ToolCall, ToolResult
from moe.dialects.anthropic_tokens import count_tokens, estimate, guess

# (text, how many tokens the one and the other make of it)
COUNTED = {
    "english": ("Why is the sky blue? Explain it to a child in three short sentences, and name the physicist who first "
                "described it.", 25, 26),
    "code": ('def add(first: int, second: int) -> int:\n    """The sum."""\n    return first + second\n\n\n'
             "print(add(1, 2))\n", 32, 35),
    "json": ('{"type":"object","properties":{"city":{"type":"string","description":"Name of the city"},"days":{"type":'
             '"integer","minimum":1}},"required":["city"]}', 35, 36),
    "german": ("Der Himmel erscheint blau, weil die Luftmoleküle das kurzwellige Licht der Sonne stärker streuen als "
               "das langwellige.", 38, 38),
    "spanish": ("¿Podrías explicarme cómo se prepara una tortilla de patatas con cebolla para cuatro personas, por "
                "favor?", 27, 29),
    "chinese": ("天空之所以是蓝色的,是因为空气分子对太阳光中的短波长光散射得更强。", 44, 34),
    "russian": ("Небо кажется голубым, потому что молекулы воздуха сильнее рассеивают коротковолновый свет "
                "солнца.", 48, 53),
    "log": ("2026-11-21 19:36:33 up 4:04, load average: 6.60, 6.03, 4.56", 35, 30),
    "emoji": ("Great 🎉🎉 let's go 🚀", 13, 13),
}


def asked(*parts: object, **fields: object) -> ChatRequest:
    return ChatRequest(messages=(Message("user", parts),), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", COUNTED)
def test_the_estimate_is_near_what_real_vocabularies_count(kind: str) -> None:
    text, *counts = COUNTED[kind]
    assert 0.65 * min(counts) < count_tokens(text) < 1.35 * max(counts)
    if kind in ("english", "code", "json"):
        assert 0.85 * min(counts) < count_tokens(text) < 1.15 * max(counts)


def test_everything_in_a_prompt_counts() -> None:
    bare = estimate(asked(Text("hi")))
    parts = (Thinking("well"), ToolCall("t", "now", '{"at":1}'), ToolResult("t", "now", "noon"), Image("AAAA"),
             Document("A" * 200_000))
    added = [estimate(asked(Text("hi"), part)) - bare for part in parts]
    assert all(more > 0 for more in added)
    assert added[3] == 1000
    assert added[4] == 4 * 1500
    tools = ({"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}},)
    assert estimate(asked(Text("hi"), tools=tools)) > bare + 5


def test_even_nothing_counts_as_one() -> None:
    assert estimate(ChatRequest()) == guess(ChatRequest()) == 1


def test_a_guess_is_the_estimate_itself_but_of_a_long_prompt() -> None:
    request = asked(Text("Why is the sky blue? " * 100), ToolCall("t", "now", "{}"), Image("AAAA"), tools=({"a": "b"},))
    assert guess(request) == estimate(request)
    long = asked(Text("Why is the sky blue? " * 10_000), Text("天空之所以是蓝色的" * 10_000), Image("AAAA"))
    assert 0.99 < guess(long) / estimate(long) < 1.01
    began = time.monotonic()
    guess(asked(*[Text("a b " * 10_000)] * 100))
    assert time.monotonic() - began < 0.5


@pytest.mark.parametrize("text", ["a" * 10**6, " " * 10**6, "\n" * 10**6, "é" * 10**6, "\x00" * 10**6, "🎉 " * 10**5,
                                  "{[" * 10**6])
def test_a_megabyte_of_anything_is_counted_at_once(text: str) -> None:
    began = time.monotonic()
    count_tokens(text)
    assert time.monotonic() - began < 5
