"""Reasoning inside an answer, wherever its pieces are cut."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.core import Chunk, Done, Heartbeat, Refusal, Text, Thinking, TokenLogprob, ToolCall
from moe.pipeline.thinking import MOST_BLANK, lift

HELD = Heartbeat(is_held=True)
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
    ("<|channel|>analysis<|message|>Hm.<|end|>Four.", "Hm.", "Four."),
    ("<|channel|>analysis<|message|>Hm.<|end|>\n<|channel|>final<|message|>Four.", "Hm.", "Four."),
    ("<|channel|>analysis<|message|>H<|end|><|start|>assistant<|channel|>analysis<|message|>m.<|end|><", "Hm.", "<"),
    ("<|channel|>analysis<|message|>Hm.<|end|><|st", "Hm.", "<|st"),
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
    opened = {whole.replace(f"<{name}>", "", 1): name for name in ("think", "thinking")}
    closed = {text.replace(f"</{name}>", "", 1) for text, name in opened.items()}  # "</ think>" is no end
    assert bare in {whole, *opened, *closed}
    assert told([Text("".join(parts))]) == (thinking, answer)


def test_whoever_waits_for_what_is_held_back_gets_heartbeats() -> None:
    chunks = [Text("<thi"), Text("nk>"), Heartbeat(), Text("Hm."), Text("</think"), Text("> "), Text("Four."), Done()]
    assert list(lift(iter(chunks))) == [
        HELD, HELD, Heartbeat(), Thinking("Hm."), HELD, HELD, Text("Four."), Done()]


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


# Of which the end alone is told

BARE = "two and two\n</think>\n\nFour."


def whole(text: str, **how: bool) -> tuple[str, str]:
    """(thinking, text), however the text is cut."""
    found = set()
    for size in (1, 3, len(text) or 1):
        lifted = list(lift(iter([*(Text(text[at:at + size]) for at in range(0, len(text), size)), Done()]), **how))
        found.add(("".join(chunk.text for chunk in lifted if isinstance(chunk, Thinking)),
                   "".join(chunk.text for chunk in lifted if isinstance(chunk, Text))))
    (only,) = found
    return only


@pytest.mark.parametrize(("text", "thinking", "answer"), [
    (BARE, "two and two", "Four."), ("reasoning</think>answer", "reasoning", "answer"),
    ("Hm. </think> Four.", "Hm.", "Four."), ("</think>\nFour.", "", "Four."),
    ("It ends with `</think>`, so:\n</think>\nFour.", "It ends with `</think>`, so:", "Four."),
    ("```\n</think>\n```\nSo.\n</think>Four.", "```\n</think>\n```\nSo.", "Four."),
    ("<think>Hm.</think>Four.", "Hm.", "Four."), ("No thought at all.", "", "No thought at all."),
    ('{"a": "b</think>c"}', "", '{"a": "b</think>c"}'), ('Say "</think>".', "", 'Say "</think>".'),
    ("Hm.\n</think>\n\nUse `</think>`.", "Hm.", "Use `</think>`."),
])
@pytest.mark.parametrize("is_whole", [False, True])
def test_a_thought_that_the_prompt_opened_is_lifted(text: str, thinking: str, answer: str, is_whole: bool) -> None:
    assert whole(text, begins_inside=True, is_whole=is_whole) == (thinking, answer)


@pytest.mark.parametrize("text", [
    BARE, "reasoning</think>answer", "reasoning.</think>\n\nAnswer", "Hm.\n</think>Four.",
])
def test_of_any_model_where_the_whole_answer_is_seen(text: str) -> None:
    thinking, answer = (part.strip() for part in text.split("</think>"))
    assert whole(text, is_whole=True) == (thinking, answer)
    assert whole(text) == ("", text)  # what was passed on is not called back


@pytest.mark.parametrize("text", [
    "The tag </think> ends a thought.", "Write `</think>` at its end.", 'It is "</think>".', "Use (</think>) here.",
    "</think> is a closing tag.", "\n</think> closes it.", "First <think>, then\n</think>\nand so on.",
    "```html\n<b>x\n</think>\n```\nThat is all.", "a\n</think>\nb\n</think>\nc", "It ends so:\n</think>", "</think>",
    '{"text": "x</think>y"}', '["a\n</think>\nb"]', "<b></think></b>",
])
def test_an_answer_that_speaks_of_the_mark_is_left_as_it_is(text: str) -> None:
    assert whole(text, is_whole=True) == ("", text)


def test_a_thought_that_is_not_wanted_is_left_out_of_what_is_lifted() -> None:
    assert whole(BARE, begins_inside=True, is_wanted=False) == ("", "Four.")


@pytest.mark.parametrize("text", [BARE, "reasoning</think>answer", "Hm.\n</think>\nFour."])
def test_it_is_also_where_only_the_whole_answer_tells(text: str) -> None:
    assert whole(text, is_whole=True, is_wanted=False) == ("", text.split("</think>")[1].strip())
    assert whole(text, is_wanted=False) == ("", text)


@pytest.mark.parametrize("text", [
    "It ends so:\n</think>\n\nThat is all.", "Write </think> at its end.", "a\n</think>\n",
])
def test_nothing_is_lost_that_may_be_answer(text: str) -> None:
    assert whole(text, is_whole=True, is_wanted=False) == ("", text)


def test_what_is_held_back_until_the_mark_comes_is_told_at_once_then() -> None:
    chunks = [Text("two "), Text("and"), Heartbeat(), Text(" two</think>"), Text("\nFo"), Text("ur."), Done()]
    assert list(lift(iter(chunks), begins_inside=True)) == [
        HELD, HELD, Heartbeat(), Thinking("two and two"), Text("Fo"), Text("ur."), Done()]


@pytest.mark.parametrize("first", ['{"a"', "[", " \\n{"])
def test_json_is_passed_on_at_once(first: str) -> None:
    chunks = [Text(first), Text(": 1"), Done()]
    lifted = lift(iter(chunks), begins_inside=True)
    assert next(chunk for chunk in lifted if not isinstance(chunk, Heartbeat)) in (Text(first), Text(first + ": 1"))
    assert "".join(chunk.text for chunk in lift(iter(chunks), begins_inside=True) if isinstance(chunk, Text)) \
        == first + ": 1"


def test_a_thought_that_came_apart_is_awaited_no_more() -> None:
    chunks = [Thinking("Hm."), Text("a\n</think>\nb"), Done()]
    assert list(lift(iter(chunks), begins_inside=True, is_whole=True)) == chunks


def test_a_refusal_is_no_text_to_look_into() -> None:
    chunks = [Text("Hm. "), Refusal("<think>I won’t.</think>"), Done()]
    assert list(lift(iter(chunks), is_whole=True)) == [HELD, Text("Hm. "), Refusal("<think>I won’t.</think>"), Done()]


def test_a_long_wait_costs_no_more_than_its_length() -> None:
    words, end, four = (TokenLogprob(text, -0.5) for text in ("word " * 4, "</think>", "Four."))
    pieces = [Text(words.token, (words,)) for _ in range(40_000)]
    began = time.perf_counter()
    lifted = list(lift(iter([*pieces, Text("</think>Four.", (end, four)), Done()]), begins_inside=True))
    assert time.perf_counter() - began < 2
    assert lifted[-2] == Text("Four.", (four,))


# Tokens that are parts of characters

SMILE = "🙂👍🏽é"


@pytest.mark.parametrize("opening", ["", "<think>Hm</think>", "<think>é</think>\n\n", "  "])
def test_tokens_are_matched_by_their_bytes(opening: str) -> None:
    spelled = [TokenLogprob(bytes([byte]).decode("utf-8", "surrogateescape"), -0.5) for byte in SMILE.encode()]
    before = [TokenLogprob(letter, -0.25) for letter in opening]
    for is_whole in (False, True):
        lifted = lift(iter([Text(opening + SMILE, (*before, *spelled)), Done()]), is_whole=is_whole)
        (text,) = (chunk for chunk in lifted if isinstance(chunk, Text))
        told = b"".join(token.token.encode("utf-8", "surrogateescape") for token in text.logprobs)
        assert told == text.text.encode()


def test_a_character_that_was_broken_costs_no_token() -> None:
    """Text has a mark of three bytes for each byte that makes no character."""
    tokens = (TokenLogprob("\udcf0", -1.0), TokenLogprob("a", -1.0))
    assert list(lift(iter([Text("\ufffda", tokens)]))) == [Text("\ufffda", tokens)]


def test_half_a_pair_is_measured_too() -> None:
    tokens = (TokenLogprob("<think>x</think>", -1.0), TokenLogprob("\ud83d", -1.0))
    assert list(lift(iter([Text("<think>x</think>\ud83d", tokens)])))[-1] == Text("\ud83d", tokens[1:])
