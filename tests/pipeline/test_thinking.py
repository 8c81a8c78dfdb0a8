"""Reasoning inside an answer, wherever its pieces are cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.core import Chunk, Done, Heartbeat, Text, Thinking, TokenLogprob, ToolCall
from moe.pipeline.thinking import MOST_BLANK, lift

HARMONY = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Four."


def told(chunks: Iterable[Chunk], *, is_wanted: bool = True) -> tuple[str, str]:
    """(thinking, text) of what is lifted."""
    lifted = list(lift(iter([*chunks, Done()]), is_wanted=is_wanted))
    assert lifted[-1] == Done()
    return ("".join(chunk.text for chunk in lifted if isinstance(chunk, Thinking)),
            "".join(chunk.text for chunk in lifted if isinstance(chunk, Text)))


def pieces(text: str, *cuts: int) -> list[Chunk]:
    ends = [*sorted(cuts), len(text)]
    return [Text(text[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize(("text", "thinking", "answer"), [
    ("<think>two and two</think>Four.", "two and two", "Four."),
    ("\n <think>\ntwo\n\nand two\n</think>\n\nFour.\n", "two\n\nand two", "Four.\n"),
    ("<thinking>Hm.</thinking> Four.", "Hm.", "Four."),
    ("[THINK]Hm.[/THINK]Four.", "Hm.", "Four."),
    (HARMONY, "Hm.", "Four."),
    ("<think></think>Four.", "", "Four."),
    ("<think>a < b </ c</think>Four.", "a < b </ c", "Four."),
    ("<think>Hm.</think>Say <think>it</think>.", "Hm.", "Say <think>it</think>."),
    ("Say <think>it</think>.", "", "Say <think>it</think>."),
    ("```\n<think>code</think>\n```", "", "```\n<think>code</think>\n```"),
    ("`<think>`", "", "`<think>`"),
    ("<thin air", "", "<thin air"),
    ("<b>bold</b>", "", "<b>bold</b>"),
    ("  four", "", "  four"),
    ("<think>it never ends", "it never ends", ""),
    ("<think>it never ends</thi", "it never ends</thi", ""),
    ("<think>", "", ""),
    ("", "", ""),
])
def test_what_opens_an_answer_is_lifted_at_every_cut(text: str, thinking: str, answer: str) -> None:
    assert told([Text(text)]) == (thinking, answer)
    assert told([Text(letter) for letter in text]) == (thinking, answer)
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            assert told(pieces(text, first, second)) == (thinking, answer), (first, second)


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "think>", " ", "\n", "a", "</", "`", "<thinking>"])))
def test_nothing_is_lost_but_marks_and_white_space(parts: Sequence[str]) -> None:
    thinking, answer = told([Text(part) for part in parts])
    bare = "".join(thinking.split() + answer.split())
    whole = "".join("".join(parts).split())
    assert bare == whole or bare == whole.replace("<think>", "", 1).replace("</think>", "", 1) \
        or bare == whole.replace("<thinking>", "", 1).replace("</thinking>", "", 1)
    assert told([Text("".join(parts))]) == (thinking, answer)


def test_whoever_waits_for_what_is_held_back_gets_heartbeats() -> None:
    chunks = [Text("<thi"), Text("nk>"), Heartbeat(), Text("Hm."), Text("</think"), Text("> "), Text("Four."), Done()]
    assert list(lift(iter(chunks))) == [
        Heartbeat(), Heartbeat(), Heartbeat(), Thinking("Hm."), Heartbeat(), Heartbeat(), Text("Four."), Done()]


def test_white_space_is_not_awaited_for_ever() -> None:
    first = next(chunk for chunk in lift(Text(" ") for _ in range(1000)) if isinstance(chunk, Text))
    assert len(first.text) == MOST_BLANK + 1


def test_reasoning_that_is_not_wanted_is_left_out() -> None:
    assert told([Text("<think>Hm.</think>Four.")], is_wanted=False) == ("", "Four.")
    assert told([Thinking("Hm."), Text("Four.")], is_wanted=False) == ("", "Four.")


def test_an_answer_whose_reasoning_came_apart_is_left_as_it_is() -> None:
    assert told([Thinking("Hm."), Text("<think>is a tag</think>")]) == ("Hm.", "<think>is a tag</think>")


def test_a_call_ends_what_is_lifted() -> None:
    call = ToolCall("1", "weather")
    assert list(lift(iter([Text("<think>Hm."), call, Text("</think>"), Done()]))) == [
        Thinking("Hm."), call, Text("</think>"), Done()]


def test_the_tokens_of_the_answer_keep_their_probabilities() -> None:
    odds = {token: TokenLogprob(token, -0.5) for token in ("<think>", "Hm", "</think>", "\n\n", "Fo", "ur")}
    chunks = [Text(token, (odds[token],)) for token in odds]
    lifted = [chunk for chunk in lift(iter(chunks)) if isinstance(chunk, Text)]
    assert [(chunk.text, chunk.logprobs) for chunk in lifted] == [("Fo", (odds["Fo"],)), ("ur", (odds["ur"],))]
    whole = Text("<think>Hm</think>\n\nFour", tuple(odds.values()))
    assert list(lift(iter([whole]))) == [Thinking("Hm"), Text("Four", (odds["Fo"], odds["ur"]))]


def test_closing_stops_the_model() -> None:
    is_closed = []

    def model() -> Iterable[Chunk]:
        try:
            while True:
                yield Text("four ")
        finally:
            is_closed.append(True)

    chunks = lift(iter(model()))
    next(chunk for chunk in chunks if isinstance(chunk, Text))
    chunks.close()  # type: ignore[attr-defined]
    assert is_closed
