"""Several answers to one request, given one after the other: OpenAI's `n`, and its lists of prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct, structs

from ..core import (
    Answer,
    ChatRequest,
    Chunk,
    Decision,
    Done,
    Heartbeat,
    Refusal,
    Started,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
    Usage,
)
from ..pipeline.settle import prompt_tokens
from ..replies import Whole

LARGEST_SEED = 2**63 - 1
_BEAT = Heartbeat()


class Turn(Struct, frozen=True):
    """One answer is over, and the next begins."""

    done: Done


Piece = Chunk | Turn


def answer_all(asked: ChatRequest, answer: Callable[[ChatRequest], Answer]) -> tuple[Answer, Iterator[Piece]]:
    """The first answer, which is decided at once, and the pieces of all of them: one Started, a Turn between two, and
    at the end one Done with what they took together."""
    first, *others = _spread(asked)
    begun = answer(first)
    is_plain = not others and not (asked.completion and asked.completion.echo)
    return begun, begun.chunks if is_plain else _chain(begun, [first, *others], answer)


def _spread(asked: ChatRequest) -> list[ChatRequest]:
    """A request for each answer: `n` for each prompt, a seed that was given counted up."""
    if asked.n == 1 and not (asked.completion and asked.completion.further):
        return [asked]
    prompts = _by_prompt(structs.replace(asked, n=1))
    found = []
    for each in (structs.replace(prompt, of=asked.n * len(prompts)) for prompt in prompts):
        for place in range(asked.n):
            seed = asked.sampling.seed
            if seed is not None:
                seed = seed + place if seed + place <= LARGEST_SEED else place
            found.append(structs.replace(each, sampling=structs.replace(asked.sampling, seed=seed)))
    return found


def _by_prompt(asked: ChatRequest) -> list[ChatRequest]:
    completion = asked.completion
    if completion is None:
        return [asked]
    prompts = (completion.prompt, *completion.further)
    return [structs.replace(asked, completion=structs.replace(completion, prompt=prompt, further=()))
            for prompt in prompts]


def _chain(begun: Answer, parts: list[ChatRequest], answer: Callable[[ChatRequest], Answer]) -> Iterator[Piece]:
    spent: Usage | None = None
    before = ""
    for place, part in enumerate(parts):
        chunks = _speak(begun, part, answer, is_first=place == 0)
        prompt = part.completion.prompt if part.completion else ""
        is_echo = bool(part.completion and part.completion.echo)
        try:
            for chunk in chunks:
                if isinstance(chunk, Done):
                    spent = _add(spent, chunk.usage, is_same_prompt=place > 0 and prompt == before)
                    is_last = place == len(parts) - 1
                    yield structs.replace(chunk, usage=spent) if is_last else Turn(chunk)
                elif isinstance(chunk, Started):
                    yield chunk if place == 0 else _BEAT
                    if is_echo:
                        yield Text(prompt)
                else:
                    yield chunk
        finally:
            close(chunks)
        before = prompt


def _speak(
    begun: Answer, part: ChatRequest, answer: Callable[[ChatRequest], Answer], *, is_first: bool
) -> Iterator[Chunk]:
    if part.sampling.max_tokens == 0:  # nobody has to be asked
        return _say_nothing(part, begun.decision)
    return begun.chunks if is_first else answer(part).chunks


def _say_nothing(part: ChatRequest, decision: Decision) -> Iterator[Chunk]:
    yield Started(expert=decision.expert.label, model=decision.model or decision.expert.model_name)
    yield Done(finish="length", usage=Usage(prompt_tokens=prompt_tokens(part), estimated=True))


def _add(spent: Usage | None, usage: Usage | None, *, is_same_prompt: bool) -> Usage | None:
    """A prompt counts once, however many answers it gets."""
    if spent is None or usage is None:
        return spent or usage
    total = spent.plus(usage)
    if not is_same_prompt:
        return total
    return structs.replace(total, prompt_tokens=spent.prompt_tokens, cached_tokens=spent.cached_tokens)


def close(chunks: Iterator[Piece]) -> None:
    """Stops whoever makes them."""
    end: Any = getattr(chunks, "close", None)
    if end is not None:
        end()


class Gathering:
    """The parts of whole answers as they come."""

    def __init__(self) -> None:
        self._wholes: list[Whole] = []
        self._clear()

    def _clear(self) -> None:
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[ToolCall] = []
        self._logprobs: list[TokenLogprob] = []
        self._text_at = 0

    def take(self, piece: Piece) -> bool:
        """Whether it is part of an answer."""
        kind = type(piece)
        if kind is Text:
            self._take_text(piece)  # type: ignore[arg-type]
        elif kind is Thinking:
            self._thoughts.append(piece.text)  # type: ignore[union-attr]
        elif isinstance(piece, Refusal):
            self._refusals.append(piece.text)
        elif isinstance(piece, ToolCall):
            self._calls.append(piece)
        elif isinstance(piece, Turn):
            self._close(piece.done)
        else:
            return False
        return True

    def _take_text(self, text: Text) -> None:
        if text.logprobs:
            self._text_at = self._text_at if self._logprobs else sum(map(len, self._texts))
            self._logprobs += text.logprobs
        self._texts.append(text.text)

    def _close(self, done: Done) -> None:
        refusal = "".join(self._refusals)
        self._wholes.append(Whole(
            text="".join(self._texts) + refusal, refusal=refusal, thinking="".join(self._thoughts),
            tool_calls=tuple(self._calls), done=done,
            logprobs=tuple(self._logprobs), text_at=self._text_at,
        ))
        self._clear()

    def finish(self, done: Done) -> Whole:
        self._close(done)
        first, *others = self._wholes
        return structs.replace(first, others=tuple(others))
