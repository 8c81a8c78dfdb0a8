"""Structured output on the way: a model that nothing binds is told the form, and every answer is held to it."""

from __future__ import annotations

from contextlib import closing

import msgspec
from msgspec import structs

from ..backends.base import Chunks
from ..core import (
    ChatRequest,
    Chunk,
    Done,
    Heartbeat,
    Message,
    Refusal,
    Started,
    Text,
    Thinking,
    ToolCall,
    ToolCallPiece,
)
from ..errors import InvalidAnswer
from .form import Form, strip_fence

# So much of a wrong answer is shown to the model again.
LONGEST_QUOTE = 20_000
_OPENING = ("{", "[")
_BEAT = Heartbeat()


def check(chunks: Chunks, form: Form, *, is_bound: bool) -> Chunks:
    """Passes an answer on, and closes it; raises InvalidAnswer in place of the end of one that breaks the form.

    What was cut at its token limit, or filtered, says so itself and is not judged, and neither is a call or a refusal.
    The text of a model that was not bound, or that begins as no JSON does all the same, comes in one piece at the end,
    without a code block around it.
    """
    begun: list[Chunk] = []
    texts: list[Text] = []
    passed = 0
    is_unsure, is_passing, is_other = is_bound, False, False
    with closing(chunks):
        for chunk in chunks:
            is_kept = isinstance(chunk, Started) or (isinstance(chunk, Text) and not isinstance(chunk, Refusal))
            if isinstance(chunk, Started):
                begun.append(chunk)
            elif isinstance(chunk, Text) and is_kept:
                texts.append(chunk)
                is_passing = is_passing or (is_unsure and chunk.text.lstrip()[:1] in _OPENING)
                is_unsure = is_unsure and not chunk.text.strip()
            elif isinstance(chunk, (ToolCall, ToolCallPiece, Refusal)):
                is_other = is_passing = True
            elif isinstance(chunk, Done):
                texts = _weigh(texts, None if is_other or chunk.finish != "stop" else form, is_whole=not is_passing)
                is_passing = True
            if is_passing or isinstance(chunk, Thinking):
                yield from begun
                begun.clear()
            if is_passing:
                yield from texts[passed:]
                passed = len(texts)
            if not is_kept:
                yield chunk
            elif not is_passing:
                yield _BEAT


def _weigh(texts: list[Text], form: Form | None, *, is_whole: bool) -> list[Text]:
    """The texts; where `is_whole`, in one piece and without a code block around it. Raises InvalidAnswer."""
    said = "".join(text.text for text in texts)
    shown = strip_fence(said) if is_whole else said
    fault = form.judge(shown) if form is not None else None
    if fault is not None:
        raise InvalidAnswer(fault.public, said=said, fault=fault.text)
    if not is_whole:
        return texts
    logprobs = tuple(entry for text in texts for entry in text.logprobs) if shown == said else ()
    return [Text(shown, logprobs)] if shown else []


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
