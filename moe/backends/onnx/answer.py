"""One answer under way: it takes its turn at the model for every token, so that many come along together."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy.typing as npt
from msgspec import structs

from ...core import ChatRequest, Chunk, Done, Heartbeat, TokenLogprob, Usage
from ..base import HEARTBEAT_S, Chunks
from ..dialogue.certainty import weigh
from ..dialogue.ledger import Mark
from ..dialogue.plan import settle
from ..dialogue.prompt import Prompt
from ..dialogue.speech import Speech
from ..dialogue.transcript import Transcript
from ..insist import insist
from ..logprobs import bound, find_likeliest
from ..wishes import obey
from .detokenizer import BROKEN, Detokenizer
from .graphs import Track
from .model import OnnxModel
from .sampler import Sampler, log_shares

Logits = npt.NDArray[Any]
R = TypeVar("R")

FIRST_PART, SHORTEST_PART, LONGEST_PART = 32, 8, 512
_BEAT = Heartbeat()
# Who translates does not draw lots; Ollama's defaults are for those who chat.
_EXACT = {"temperature": 0.0, "repeat_penalty": 1.0}


class Speaker(OnnxModel):
    """A model that answers: what the shelf holds."""

    is_broken = False

    def answer(self, request: ChatRequest, *, load_ns: int) -> Chunks:
        """Heartbeats, pieces, then Done. Raises BackendError."""
        return obey(insist(partial(_answer, self, load_ns=load_ns), request, takes_format=False), request)


class Teller:
    """Turns tokens into chunks until a stop string."""

    def __init__(self, model: OnnxModel, request: ChatRequest, prompt: Prompt) -> None:
        self._vocabulary = model.vocabulary
        self._silent = model.vocabulary.silent
        self._asked = request
        self._words = Detokenizer(model.vocabulary.decode)
        self._transcript = Transcript((*request.sampling.stop, *prompt.stops))
        self._speech = Speech.of(request, prompt, thinks=model.thinks)

    @property
    def is_stopped(self) -> bool:
        return self._transcript.is_stopped

    @property
    def has_called(self) -> bool:
        return self._speech.has_called

    @property
    def stop(self) -> str:
        """The stop string of the request that ended the answer, "" for none."""
        return self._transcript.stop if self._transcript.stop in self._asked.sampling.stop else ""

    def write(self, token: int, shares: Logits) -> list[Chunk]:
        """`shares` are the log probabilities of all tokens in its place."""
        if token in self._silent:
            return []
        told = self._weigh(token, shares)
        text = self._words.feed(token)
        said = self._transcript.feed(text.encode("utf-8", "replace"))
        if told is not None:
            self._speech.ledger.add(Mark(self._transcript.length, told))
        return self._speech.feed(said) if said else []

    def _weigh(self, token: int, shares: Logits) -> TokenLogprob | None:
        most = self._asked.logprobs
        if most is None:
            return None
        odds = [TokenLogprob(self._spell(each), bound(float(shares[each])))
                for each in (token, *find_likeliest(shares, most))]
        return structs.replace(odds[0], top=tuple(odds[1:]))

    def _spell(self, token: int) -> str:
        text = self._vocabulary.controls.get(token) or self._words.peek(token)
        is_part = self._words.is_within or BROKEN in text
        return (self._vocabulary.spell(token) if is_part else "") or text

    def finish(self) -> list[Chunk]:
        """What was held back; nothing is told of it after a stop string."""
        chunks = [] if self.is_stopped else self._say(self._words.flush())
        rest = self._speech.feed(self._transcript.finish()) if not self.is_stopped else []
        return [*chunks, *rest, *self._speech.finish()]

    def _say(self, text: str) -> list[Chunk]:
        said = self._transcript.feed(text.encode("utf-8", "replace")) if text else ""
        return self._speech.feed(said) if said else []


def _answer(model: OnnxModel, request: ChatRequest, *, load_ns: int) -> Chunks:
    began = time.perf_counter_ns()
    prompt = model.write(request)
    room = model.context_length - (0 if model.translates else len(prompt.tokens))
    asked = request.sampling.max_tokens
    limit = room if asked is None else min(asked, room)
    sampler = Sampler(settle(request.sampling, _EXACT if model.translates else {}))
    teller = Teller(model, request, prompt)
    track, opening = yield from _turn(model, partial(model.start, prompt.tokens))
    logits = yield from _read(model, track, opening)
    read = time.perf_counter_ns()
    said: list[int] = []
    logprobs: list[float] = []
    has_ended = False
    while not has_ended:
        token = sampler.pick(logits, (*prompt.tokens, *said) if sampler.looks_back else ())
        shares = log_shares(logits)
        logprobs.append(float(shares[token]))
        if token in model.ends:
            break
        said.append(token)
        yield from teller.write(token, shares) or (_BEAT,)  # a sign of life even of what is held back
        has_ended = teller.is_stopped or len(said) >= limit
        if not has_ended:
            logits = yield from _turn(model, partial(track.advance, said[-1:]))
    yield from teller.finish()
    is_cut = has_ended and not teller.is_stopped
    usage = Usage(
        prompt_tokens=len(prompt.tokens), completion_tokens=len(said), load_ns=load_ns, prompt_ns=read - began,
        completion_ns=time.perf_counter_ns() - read,
    )
    yield Done(finish="tool_calls" if teller.has_called else "length" if is_cut else "stop", usage=usage,
               stop_sequence=teller.stop, context=(*prompt.tokens, *said) if request.completion is not None else (),
               **weigh(logprobs))


def _read(model: OnnxModel, track: Track, ids: Sequence[int]) -> Generator[Heartbeat, None, Logits]:
    """Takes in the prompt, where the model can in parts of about a heartbeat, so that others get their turns."""
    size, at = FIRST_PART, 0
    while model.reads_in_parts and at < len(ids) - 1:
        part = ids[at:min(at + size, len(ids) - 1)]
        took_s = yield from _turn(model, partial(_read_part, track, part))
        at += len(part)
        size = fit(size, took_s)
        yield _BEAT
    return (yield from _turn(model, partial(track.advance, ids[at:])))


def _read_part(track: Track, part: Sequence[int]) -> float:
    """Gives the seconds it took."""
    began = time.perf_counter()
    track.read(part)
    return time.perf_counter() - began


def fit(size: int, took_s: float) -> int:
    """How many tokens to read at a time, when so many took so long."""
    return max(SHORTEST_PART, min(LONGEST_PART, 2 * size, int(size * HEARTBEAT_S / max(took_s, 1e-6))))


def _turn(model: OnnxModel, work: Callable[[], R]) -> Generator[Heartbeat, None, R]:
    """Waits for the model and does one step of work with it."""
    yield from model.turns.take()
    try:
        model.check()
        return work()
    finally:
        model.turns.give()
