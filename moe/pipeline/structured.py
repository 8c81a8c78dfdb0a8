"""Structured output on the way: a model that nothing binds is told the form, and every answer is held to it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import structs

from ..core import ChatRequest, Chunk, Done, Heartbeat, Message, Refusal, Text, TokenLogprob, ToolCall
from ..errors import InvalidAnswer
from .form import Form, strip_fence

# So much of a wrong answer is shown to the model again.
LONGEST_QUOTE = 20_000
_BEAT = Heartbeat()


def check(chunks: Iterator[Chunk], form: Form, *, is_bound: bool) -> Iterator[Chunk]:
    """Passes an answer on; raises InvalidAnswer in place of the end of one that breaks the form.

    What was cut at its token limit, or filtered, says so itself and is not judged, and neither is a call or a refusal.
    The text of a model that was not bound comes in one piece at the end, without a code block around it.
    """
    texts: list[str] = []
    logprobs: list[TokenLogprob] = []
    is_other = False
    for chunk in chunks:
        if isinstance(chunk, (ToolCall, Refusal)):
            is_other = True
        elif isinstance(chunk, Text):
            texts.append(chunk.text)
            logprobs += chunk.logprobs
            if not is_bound:
                yield _BEAT
                continue
        elif isinstance(chunk, Done):
            said = "".join(texts)
            shown = said if is_bound else strip_fence(said)
            fault = None if is_other or chunk.finish != "stop" else form.judge(shown)
            if fault is not None:
                raise InvalidAnswer(fault.public, said=said, fault=fault.text)
            if shown and not is_bound:
                yield Text(shown, tuple(logprobs) if shown == said else ())
        yield chunk


def tell(request: ChatRequest, form: Form) -> ChatRequest:
    """`request` with the form in words, for a model that no grammar binds."""
    note = "Answer with one JSON object and nothing else: no words around it, no code block."
    if not form.is_bare:
        schema = msgspec.json.encode(form.schema).decode()
        note = ("Answer with JSON and nothing else: no words around it, no code block. "
                f"It has to fit this JSON Schema: {schema}")
    completion = request.completion
    if completion is None:
        return structs.replace(request, messages=_with_note(request.messages, note))
    if completion.raw or completion.suffix:
        return request
    return structs.replace(request, completion=structs.replace(completion, prompt=f"{completion.prompt}\n\n{note}"))


def correct(request: ChatRequest, error: InvalidAnswer) -> ChatRequest:
    """`request` once more, with the wrong answer and what is wrong with it; a bare text is only asked again."""
    said = error.said[:LONGEST_QUOTE]
    note = f"That answer cannot be used: {error.fault}. Answer again, with the corrected JSON and nothing else."
    completion = request.completion
    if completion is None:
        turns = (Message("assistant", (Text(said),)),) if said.strip() else ()
        return structs.replace(request, messages=(*request.messages, *turns, Message("user", (Text(note),))))
    if completion.raw or completion.suffix:
        return request
    prompt = "\n\n".join(filter(None, (completion.prompt, said.strip(), note)))
    return structs.replace(request, completion=structs.replace(completion, prompt=prompt))


def _with_note(messages: tuple[Message, ...], note: str) -> tuple[Message, ...]:
    """Some templates take one system message and only at the beginning, so the note joins the first."""
    if not messages or messages[0].role != "system":
        return (Message("system", (Text(note),)), *messages)
    first = Message("system", (Text(f"{messages[0].text}\n\n{note}"),))
    return (first, *messages[1:])
