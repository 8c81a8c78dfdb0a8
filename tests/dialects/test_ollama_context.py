"""The `context` of /api/generate: written, read back, bounded, and never mistaken for a model's own tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moe.core import ChatRequest, Done, Message, Text
from moe.dialects.ollama import CHAT, GENERATE
from moe.dialects.ollama_context import MARK, MOST_BYTES, read_context, write_context
from moe.errors import BadRequest
from moe.replies import Ending, Head, Whole

SAID = (Message("system", (Text("Be brief.\n"),)), Message("user", (Text("¿Qué?\u2028 \U0001f600"),)))


def texts(messages: Any) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in messages or ()]


def generate(**fields: Any) -> ChatRequest:
    return GENERATE.parse(json.dumps({"model": "m", **fields}).encode())


def test_what_was_written_is_read_back() -> None:
    numbers = write_context(SAID, "Nada.")
    assert all(type(number) is int and 0 <= number < 2**31 for number in numbers)
    assert texts(read_context(numbers)) == [*texts(SAID), ("assistant", "Nada.")]
    assert texts(read_context(write_context(SAID, ""))) == texts(SAID)


def test_of_a_long_conversation_the_system_prompt_and_the_newest_turns_stay() -> None:
    roles: tuple[Any, ...] = ("user", "assistant")
    turns = [Message(role, (Text(f"{number} " + "é" * 5_000),)) for number in range(20) for role in roles]
    numbers = write_context((SAID[0], *turns, SAID[1]), "Nada.")
    assert len(numbers) <= MOST_BYTES + 2
    (system, first, *_, last) = texts(read_context(numbers))
    assert (system, last) == (("system", "Be brief.\n"), ("assistant", "Nada."))
    assert first[0] == "user" and 0 < int(first[1].split()[0]) < 19


@pytest.mark.parametrize("role", ["system", "user"])
def test_what_is_longer_than_all_there_may_be_is_forgotten(role: Any) -> None:
    huge = Message(role, (Text("x" * MOST_BYTES),))
    numbers = write_context((huge,), "Nada.")
    assert texts(read_context(numbers)) == []
    assert texts(generate(prompt="hi", context=numbers).messages) == [("user", "hi")]


def test_half_a_character_harms_nobody() -> None:
    assert texts(read_context(write_context((Message("user", (Text("\ud83d"),)),), "x"))) == [
        ("user", "?"), ("assistant", "x")]


@pytest.mark.parametrize("numbers", [(), (1,), (1, 2, 3), (0, MARK), (-1,), (2**40,)])
def test_a_model_s_own_tokens_are_told_apart(numbers: tuple[int, ...]) -> None:
    assert read_context(numbers) is None
    completion = generate(prompt="hi", context=list(numbers)).completion
    assert (completion.context if completion else ()) == numbers


WRITTEN = write_context(SAID, "Nada.")


@pytest.mark.parametrize("numbers", [
    WRITTEN[:1], WRITTEN[:2], WRITTEN[:-1], [*WRITTEN, 7], [MARK, 0, *WRITTEN[2:]], [*WRITTEN[:9], 300, *WRITTEN[10:]],
    [*WRITTEN[:9], -1, *WRITTEN[10:]], [MARK, 0, 2**70], [MARK, 7, *b"not json"],
])
def test_what_was_changed_on_the_way_is_refused(numbers: list[int]) -> None:
    with pytest.raises(BadRequest, match="unchanged") as caught:
        generate(prompt="hi", context=numbers)
    assert caught.value.param == "context"


def test_a_prompt_goes_on_from_there_and_a_new_system_prompt_takes_the_place_of_the_old() -> None:
    request = generate(prompt="And now?", context=WRITTEN)
    assert request.completion is None
    assert texts(request.messages) == [*texts(SAID), ("assistant", "Nada."), ("user", "And now?")]
    request = generate(prompt="And now?", context=WRITTEN, system="Be long.")
    assert texts(request.messages)[:2] == [("system", "Be long."), texts(SAID)[1]]
    assert generate(prompt="", context=WRITTEN).only_loads


@pytest.mark.parametrize("more", [{"suffix": "}"}, {"template": "{{ .Prompt }}"}])
def test_where_only_a_model_s_tokens_would_do_it_is_told_that_it_is_left_out(more: dict[str, str]) -> None:
    request = generate(prompt="p", context=WRITTEN, **more)
    assert request.completion is not None
    assert (request.completion.context, request.unheeded) == ((), ("context",))


def test_a_stream_and_a_whole_reply_end_with_the_same_context() -> None:
    request = generate(prompt="¿Qué?")
    head = Head(request_id="r", model="m", created=0.0, asked=request)
    ending = Ending(done=Done(), elapsed_ns=1, first_token_ns=1)
    writer = GENERATE.writer(request, head)
    lines = [json.loads(writer.chunk(Text(piece))) for piece in ("Na", "da.")]
    last = json.loads(writer.end(ending))
    whole = json.loads(GENERATE.reply(Whole(text="Nada."), head, ending))
    assert all("context" not in line for line in lines)
    assert last["response"] == ""
    assert last["context"] == whole["context"] == write_context(request.messages, "Nada.")
    own = Ending(done=Done(context=(5, 6)), elapsed_ns=1, first_token_ns=1)
    assert json.loads(GENERATE.reply(Whole(text="x"), head, own))["context"] == [5, 6]


@pytest.mark.parametrize("fields", [{"raw": True}, {"suffix": "x"}, {"prompt": ""}])
def test_no_context_is_made_up_for_a_completion_or_a_load(fields: dict[str, Any]) -> None:
    request = generate(**{"prompt": "p", **fields})
    head = Head(request_id="r", model="m", created=0.0, asked=request)
    ending = Ending(done=Done(), elapsed_ns=1, first_token_ns=1)
    assert "context" not in json.loads(GENERATE.reply(Whole(text="x"), head, ending))
    chat = CHAT.parse(b'{"messages":[{"role":"user","content":"hi"}]}')
    assert "context" not in json.loads(CHAT.reply(Whole(text="x"), Head(request_id="r", model="m", created=0.0,
                                                                       asked=chat), ending))
