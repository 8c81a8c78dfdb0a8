"""One candidate being asked: what it is told, how long it may be silent, and when it is asked once more."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import msgspec

from ..backends.base import HEARTBEAT_S, Backend, Chunks, Leaving
from ..config import RunnerConfig
from ..core import ChatRequest, Chunk, Done, Heartbeat, Started, Text, ToolCall, ToolCallPiece
from ..errors import (
    BackendError,
    BadAnswer,
    Crowded,
    InvalidAnswer,
    NotReady,
    TimedOut,
    Unreachable,
    UpstreamFailure,
    UpstreamRefusal,
)
from ..log import clean
from .calling import EmptyAnswer, without_calls
from .form import Form
from .lineup import Candidate, prepare
from .offering import Refusers, is_offered, may_lie_in_tools, part, refuses_tools
from .structured import check, correct, tell
from .thinking import lift

log = logging.getLogger("moe.dispatch")

# An upstream that asks to be left alone longer than this is left alone, and somebody else answers.
LONGEST_WAIT_S = 2.5
# However long it asks for, it is tried again after this: quotas are often back earlier, and a date can be wrong.
LONGEST_REST_S = 60.0
_MARK = "think>"
BLIND = "does not support images"
_BEAT = Heartbeat()
_HELD = Heartbeat(is_held=True)


class Misfit(BackendError):
    """The candidate cannot do what the request needs; it was not asked."""


# Errors whose words are none of an upstream's, which may quote the prompt or the answer.
_OWN_WORDS = (Unreachable, TimedOut, Misfit)


class Attempt:
    """What is known while one candidate is tried. `is_first`: it is the one the decision named. `has_started`: the
    client may have seen some of its answer."""

    def __init__(
        self, candidate: Candidate, failed: tuple[str, ...], *, form: Form | None, is_first: bool, is_admitted: bool
    ) -> None:
        self.candidate = candidate
        self.failed = failed
        self.form = form
        self.is_first = is_first
        self.is_admitted = is_admitted
        self.has_started = False


class Attempts:
    """Asks candidates; holds no request state."""

    def __init__(self, runner: RunnerConfig, *, advice: Callable[[], str], logs_words: bool = False) -> None:
        """`logs_words`: whether what an upstream says of a failure goes to the log."""
        self._runner = runner
        self._advice = advice
        self._logs_words = logs_words
        self._refusers = Refusers()

    def serve(self, attempt: Attempt, request: ChatRequest) -> Iterator[Chunk]:
        """One candidate, with its retries; its breaker learns how it went. Raises BackendError."""
        candidate = attempt.candidate
        is_told = False
        try:
            yield from self._insist(attempt, request)
            is_told = True
            candidate.breaker.succeed()
        except (UpstreamRefusal, InvalidAnswer, Crowded, Misfit, NotReady):
            raise  # it is alive, or was never asked
        except BackendError as error:
            is_told = True
            asked_s = error.retry_after_s if isinstance(error, UpstreamFailure) else None
            candidate.breaker.fail(wait_s=min(asked_s or 0.0, LONGEST_REST_S), was_silent=isinstance(error, TimedOut))
            raise
        finally:
            if not is_told and attempt.is_admitted:
                candidate.breaker.release()

    def _insist(self, attempt: Attempt, request: ChatRequest) -> Iterator[Chunk]:
        """Asks until there is an answer or no sense in asking again; one that breaks the form is corrected once."""
        expert, backend = attempt.candidate.expert, attempt.candidate.backend
        prepared = self.prepare(attempt, request)
        is_bound = attempt.form is None or attempt.candidate.binds_form
        is_held = not request.stream or not is_bound
        tries, is_corrected = 0, False
        is_refuser = False
        while True:
            try:
                yield from self._hear(attempt, prepared, is_bound=is_bound, is_held=is_held)
                if is_refuser:
                    self._refusers.add(prepared, backend)
                return
            except BackendError as error:
                may_retry = self._may_retry(error, backend, tries)
                if isinstance(error, InvalidAnswer):
                    may_retry = not is_corrected
                is_overfed = bool(prepared.offered) and may_lie_in_tools(error)
                if attempt.has_started or not (may_retry or is_overfed):
                    raise
                log.info("retry expert=%s %s", clean(expert.label), self.describe(error))
                if isinstance(error, InvalidAnswer):
                    prepared, is_corrected = correct(prepared, error), True
                    continue
                if is_overfed:
                    prepared, is_refuser = part(prepared, request), refuses_tools(error)
                    continue
                yield from _pause(self._pause_s(error, tries))
            tries += 1

    def prepare(self, attempt: Attempt, request: ChatRequest) -> ChatRequest:
        """What this candidate is asked; of what it has in `offered`, it has all in `tools` too, or nothing. Raises
        NotReady, and Misfit where it cannot do that."""
        candidate = attempt.candidate
        expert, backend, model = candidate.expert, candidate.backend, candidate.model
        if not model:
            raise NotReady(f"no model fits {expert.label}: {self._advice()}", reason=backend.trouble(model))
        prepared = prepare(request, expert, model)
        unfit = backend.misfit(prepared)
        if not unfit and not candidate.sees and not _is_named(attempt) and _has_image(prepared):
            unfit = BLIND
        if unfit:
            raise Misfit(f'"{model}" {unfit}', reason=unfit)
        if attempt.form is not None and not candidate.binds_form:
            return tell(prepared, attempt.form)
        return self._refusers.join(prepared, backend) if prepared.offered else prepared

    def _hear(self, attempt: Attempt, prepared: ChatRequest, *, is_bound: bool, is_held: bool) -> Iterator[Chunk]:
        """One answer, as the client may see it: at once, or where `is_held` only when it is whole and good."""
        chunks = self._watch(attempt, prepared, is_held=is_held)
        if attempt.form is not None:
            chunks = check(chunks, attempt.form, is_bound=is_bound)
        with closing(_hold(chunks) if is_held else chunks) as shown:
            for chunk in shown:
                attempt.has_started = isinstance(chunk, Started)
                yield chunk
                if attempt.has_started:
                    yield from shown

    def _watch(self, attempt: Attempt, prepared: ChatRequest, *, is_held: bool) -> Chunks:
        """One exchange, watched: silence beyond its limit ends it, and so does an answer without content."""
        expert, backend = attempt.candidate.expert, attempt.candidate.backend
        limit_s = expert.first_token_timeout_s or backend.first_token_limit_s(prepared)
        chunks = backend.chat(prepared)
        has_begun = False
        heard = 0.0  # the clock starts with the first chunk: loading an engine is not the model's silence
        try:
            for chunk in _read(chunks, prepared, backend, is_held=is_held):
                heard = heard or time.monotonic()
                if isinstance(chunk, Heartbeat):
                    heard = 0.0 if chunk.is_queued or chunk.is_held else heard
                    limit_s = backend.idle_limit_s(prepared.model) if chunk.is_held else limit_s
                    if heard and time.monotonic() - heard > limit_s:
                        raise TimedOut(f"silent for {limit_s:.0f} s")
                    yield chunk
                    continue
                if isinstance(chunk, ToolCall) and not _is_readable(chunk, prepared):
                    raise BadAnswer("the arguments of a call are no object", reason="a call that cannot be read")
                if not has_begun:
                    if isinstance(chunk, Text) and not chunk.text:
                        continue
                    if isinstance(chunk, Done) and chunk.finish == "stop" and not _may_be_empty(attempt, prepared):
                        raise EmptyAnswer
                    has_begun = True
                    limit_s = backend.idle_limit_s(prepared.model)
                    yield Started(expert=expert.label, model=attempt.candidate.model, failed=attempt.failed,
                                  ignored=_find_ignored(attempt.candidate, prepared), sent=prepared)
                yield chunk
                if isinstance(chunk, ToolCallPiece):
                    yield _BEAT  # whose dialect has no word for it hears nothing of it
                heard = time.monotonic()
        finally:
            chunks.close()

    def _may_retry(self, error: BackendError, backend: Backend, tries: int) -> bool:
        if isinstance(error, (TimedOut, Unreachable)):
            return tries + 1 < backend.routes
        if isinstance(error, UpstreamFailure) and (error.retry_after_s or 0) > LONGEST_WAIT_S:
            return False
        most = max(self._runner.retries, backend.routes - 1)
        return error.is_worth_a_retry and tries < (min(most, 1) if isinstance(error, EmptyAnswer) else most)

    def _pause_s(self, error: BackendError, tries: int) -> float:
        """What the upstream asked for, else an exponential backoff with jitter; none on the way to another node."""
        if isinstance(error, (TimedOut, Unreachable)):
            return 0.0
        spread = random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing
        backoff_s = float(self._runner.backoff_s * 2**tries * spread)
        asked_s = error.retry_after_s if isinstance(error, UpstreamFailure) else None
        return backoff_s if asked_s is None else asked_s + 0.1 * spread

    def describe(self, error: BackendError) -> str:
        """An error as the log may have it."""
        reason = error.reason
        if not self._logs_words and isinstance(error, InvalidAnswer):
            reason = "the answer breaks its form"
        if isinstance(error, UpstreamFailure):
            reason = f"upstream status {error.upstream_status}"
        told = f"reason={clean(reason)} error={type(error).__name__}"
        if isinstance(error, UpstreamRefusal):
            told += f" status={error.status}"
        return f"{told} detail={clean(error.message)}" if self._logs_words or isinstance(error, _OWN_WORDS) else told


def _read(
    chunks: Iterator[Chunk], prepared: ChatRequest, backend: Backend, *, is_held: bool
) -> Iterator[Chunk]:
    """A chat's reasoning is told apart from its answer; a bare text is what it is. Where none is wanted it is lost, so
    of somebody who asks about the marks themselves nothing is taken for it by a closing one alone. Who was given no
    tools has none to call."""
    if not _is_bare(prepared):
        is_wanted = prepared.think is not False
        begins_inside = isinstance(backend, Leaving) and backend.begins_inside(prepared)
        is_certain = is_wanted or not _asks_of_marks(prepared)
        chunks = lift(chunks, is_wanted=is_wanted, begins_inside=begins_inside, is_whole=is_held and is_certain)
    return chunks if prepared.tools else without_calls(chunks)


def _asks_of_marks(request: ChatRequest) -> bool:
    prompt = request.completion.prompt if request.completion is not None else ""
    return any(_MARK in text for text in (prompt, *request.user_texts))


def _find_ignored(candidate: Candidate, prepared: ChatRequest) -> tuple[str, ...]:
    """What is asked beside the prompt and meant for APIs, nobody else understands."""
    beside = () if candidate.expert.type == "api" else tuple(prepared.beside)
    return (*candidate.backend.ignores(prepared), *beside)


def _has_image(request: ChatRequest) -> bool:
    return request.has_image or any(message.has_image for message in request.messages)


def _is_bare(request: ChatRequest) -> bool:
    return request.completion is not None and (request.completion.raw or bool(request.completion.suffix))


def _is_readable(call: ToolCall, prepared: ChatRequest) -> bool:
    """Whether whoever gets it can read its arguments; of our own tools the model is told what is wrong."""
    return is_offered(call, prepared) or not prepared.needs_objects or _has_object(call)


def _has_object(call: ToolCall) -> bool:
    """Whether its arguments are what Ollama's clients get them as; OpenAI's read the text, and mend it themselves."""
    try:
        msgspec.json.decode(call.arguments or "{}", type=dict)
    except (ValueError, RecursionError):
        return False
    return True


def _is_named(attempt: Attempt) -> bool:
    """By the model's own name: whoever does that knows best what it can, and gets what it says."""
    return attempt.is_first and attempt.candidate.expert.id < 0


def _may_be_empty(attempt: Attempt, request: ChatRequest) -> bool:
    """Whether an answer without a letter can be right: a stop string came first, or a bare text goes no further."""
    return _is_named(attempt) or request.only_loads or _is_bare(request) or bool(request.sampling.stop)


def _hold(chunks: Chunks) -> Chunks:
    """Everything at the end, a heartbeat for each piece meanwhile: who waits for the whole answer never gets half
    of a broken one, so another attempt may begin from the start."""
    held: list[Chunk] = []
    with closing(chunks):
        for chunk in chunks:
            if isinstance(chunk, Heartbeat):
                yield Heartbeat(is_held=chunk.is_held)
            else:
                held.append(chunk)
                yield _HELD
    yield from held


def _pause(wait_s: float) -> Iterator[Chunk]:
    """Waits, with heartbeats, so that a client that leaves meanwhile is noticed."""
    until = time.monotonic() + wait_s
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, HEARTBEAT_S))
        yield _BEAT
