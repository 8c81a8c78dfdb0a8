"""Carries a decision to an answer: tries the candidates in order, silently, until one begins to speak."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Generator, Iterator

from ..backends.base import HEARTBEAT_S, Backend
from ..backends.builtin import Builtin
from ..config import RunnerConfig
from ..core import ChatRequest, Chunk, Decision, Done, Heartbeat, Started, Text
from ..errors import (
    BackendError,
    BadAnswer,
    NotReady,
    TimedOut,
    Unanswered,
    Unreachable,
    UpstreamFailure,
    UpstreamRefusal,
)
from ..log import clean
from .lineup import Candidate, Lineup, prepare
from .settle import prompt_tokens

log = logging.getLogger("moe.dispatch")

# An upstream that asks to be left alone longer than this is left alone, and somebody else answers.
LONGEST_WAIT_S = 2.5
# However long it asks for, it is tried again after this: quotas are often back earlier, and a date can be wrong.
LONGEST_REST_S = 60.0
TOO_LONG = "context_length_exceeded"
_BEAT = Heartbeat()


class Dispatcher:
    """Failover over a lineup; holds no request state."""

    def __init__(
        self,
        lineup: Lineup,
        runner: RunnerConfig,
        *,
        on_failure: Callable[[str, str], None],
        advice: Callable[[], str],
    ) -> None:
        self._lineup = lineup
        self._runner = runner
        self._on_failure = on_failure
        self._advice = advice

    def run(self, request: ChatRequest, decision: Decision, *, request_id: str) -> Generator[Chunk, None, None]:
        """Heartbeats while nobody speaks, then Started, then the answer, Done last.

        Raises before Started: UpstreamRefusal when the request itself is at fault, Unanswered when all
        failed. After Started, for a stream only: BackendError when the answer broke off.
        """
        tried: dict[str, BackendError] = {}
        dead = _Dead()
        resting: list[Candidate] = []
        for candidate in self._in_turn(decision, resting, request_id):
            is_decided = candidate.expert is decision.expert
            is_admitted = all(other is not candidate for other in resting)
            if isinstance(candidate.backend, Builtin) and is_decided:
                break
            if isinstance(candidate.backend, Builtin) or dead.covers(candidate):
                if is_admitted:
                    candidate.breaker.release()
                continue
            passed_over = [other.expert.label for other in resting if other is not candidate]
            failed = tuple(dict.fromkeys((*passed_over, *tried)))
            run = _Run(candidate, failed, is_first=is_decided, is_admitted=is_admitted)
            began = time.monotonic()
            try:
                yield from self._serve(run, request)
                return
            except BackendError as error:
                is_refused = run.is_first and isinstance(error, UpstreamRefusal) and error.code != TOO_LONG
                is_final = run.has_started or is_refused
                word = "[Broken-Answer]" if run.has_started else "[Refused]" if is_refused else "[Auto-Correction]"
                lost_ms = (time.monotonic() - began) * 1000
                self._note(word, candidate, error, f"request={request_id} lost_ms={lost_ms:.0f}")
                if is_final:
                    raise
                tried[candidate.expert.label] = error
                dead.add(candidate, error, prompt_tokens(request))
        yield from self._give_up(request, decision, tried)

    def _in_turn(self, decision: Decision, resting: list[Candidate], request_id: str) -> Iterator[Candidate]:
        """The candidates whose breaker admits them; the others, told in `resting`, last: trying beats giving up."""
        for candidate in self._lineup.candidates(decision):
            if candidate.breaker.admit():
                yield candidate
            else:
                log.warning("[Auto-Correction] request=%s expert=%s reason=circuit open lost_ms=0", request_id,
                            clean(candidate.expert.label))
                resting.append(candidate)
        yield from list(resting)

    def _serve(self, run: _Run, request: ChatRequest) -> Iterator[Chunk]:
        """One candidate, with its retries; its breaker learns how it went."""
        candidate = run.candidate
        is_told = False
        try:
            yield from self._attempts(run, request)
            is_told = True
            candidate.breaker.succeed()
        except (UpstreamRefusal, Misfit, NotReady):
            raise  # it is alive, or was never asked
        except BackendError as error:
            is_told = True
            asked_s = error.retry_after_s if isinstance(error, UpstreamFailure) else None
            candidate.breaker.fail(wait_s=min(asked_s or 0.0, LONGEST_REST_S))
            raise
        finally:
            if not is_told and run.is_admitted:
                candidate.breaker.release()

    def _attempts(self, run: _Run, request: ChatRequest) -> Iterator[Chunk]:
        expert, backend, model = run.candidate.expert, run.candidate.backend, run.candidate.model
        if not model:
            raise NotReady(f"no model fits {expert.label}: {self._advice()}", reason=backend.trouble(model))
        prepared = prepare(request, expert, model)
        unfit = backend.misfit(prepared)
        if unfit:
            raise Misfit(f'"{model}" {unfit}', reason=unfit)
        attempt = 0
        while True:
            chunks = self._attempt(run, prepared)
            try:
                yield from chunks if request.stream else _hold(chunks)
                return
            except BackendError as error:
                run.has_started = run.has_started and request.stream
                if run.has_started or not self._may_retry(error, backend, attempt):
                    raise
                log.info("retry expert=%s reason=%s", clean(expert.label), clean(error.reason))
                yield from _pause(self._pause_s(error, attempt))
            attempt += 1

    def _attempt(self, run: _Run, prepared: ChatRequest) -> Iterator[Chunk]:
        """One exchange, watched: silence beyond its limit ends it, and so does an answer without content."""
        expert, backend = run.candidate.expert, run.candidate.backend
        limit_s = expert.first_token_timeout_s or backend.first_token_limit_s(prepared)
        chunks = backend.chat(prepared)
        heard = 0.0  # the clock starts with the first chunk: loading an engine is not the model's silence
        try:
            for chunk in chunks:
                heard = heard or time.monotonic()
                if isinstance(chunk, Heartbeat):
                    if time.monotonic() - heard > limit_s:
                        raise TimedOut(f"silent for {limit_s:.0f} s")
                    yield chunk
                    continue
                if not run.has_started:
                    if isinstance(chunk, Text) and not chunk.text:
                        continue
                    if isinstance(chunk, Done) and chunk.finish == "stop" and not _may_be_empty(prepared):
                        raise BadAnswer("the answer is empty", reason="empty answer")
                    run.has_started = True
                    limit_s = backend.idle_limit_s(prepared.model)
                    yield Started(expert=expert.label, model=run.candidate.model, failed=run.failed)
                yield chunk
                heard = time.monotonic()
        finally:
            chunks.close()

    def _may_retry(self, error: BackendError, backend: Backend, attempt: int) -> bool:
        if isinstance(error, (TimedOut, Unreachable)):
            return attempt + 1 < backend.routes
        if isinstance(error, UpstreamFailure) and (error.retry_after_s or 0) > LONGEST_WAIT_S:
            return False
        return error.is_worth_a_retry and attempt < max(self._runner.retries, backend.routes - 1)

    def _pause_s(self, error: BackendError, attempt: int) -> float:
        """What the upstream asked for, else an exponential backoff with jitter; none on the way to another node."""
        if isinstance(error, (TimedOut, Unreachable)):
            return 0.0
        spread = random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing
        backoff_s = float(self._runner.backoff_s * 2**attempt * spread)
        asked_s = error.retry_after_s if isinstance(error, UpstreamFailure) else None
        return backoff_s if asked_s is None else asked_s + 0.1 * spread

    def _give_up(
        self, request: ChatRequest, decision: Decision, tried: dict[str, BackendError]
    ) -> Iterator[Chunk]:
        """The built-in answer where one may be given, else the error that says what was tried."""
        told = tuple((label, error.reason) for label, error in tried.items())
        first = next(iter(tried.values()), None)
        if isinstance(first, UpstreamRefusal):  # too long, and nobody can take more
            raise first
        builtin = self._lineup.builtin
        may_speak = decision.virtual or decision.expert.type == "builtin"
        if may_speak and not builtin.misfit(request) and not request.only_loads:
            speaker = decision.expert.label if decision.expert.type == "builtin" else "builtin"
            yield Started(expert=speaker, model="builtin", failed=tuple(tried))
            yield from builtin.explain(decision, told, self._advice())
            return
        if first is not None and all(isinstance(error, Misfit) for error in tried.values()):
            raise UpstreamRefusal(first.message)
        raise Unanswered(told)

    def _note(self, word: str, candidate: Candidate, error: BackendError, context: str) -> None:
        if not isinstance(error, (UpstreamRefusal, Misfit)):
            self._on_failure(candidate.expert.label, candidate.model)
        log.warning("%s %s expert=%s model=%s reason=%s detail=%s", word, context, clean(candidate.expert.label),
                    clean(candidate.model), clean(error.reason), clean(error.message))


class Misfit(BackendError):
    """The candidate cannot do what the request needs; it was not asked."""


class _Run:
    """What is known while one candidate is tried."""

    def __init__(
        self, candidate: Candidate, failed: tuple[str, ...], *, is_first: bool, is_admitted: bool
    ) -> None:
        self.candidate = candidate
        self.failed = failed
        self.is_first = is_first
        self.is_admitted = is_admitted
        self.has_started = False


class _Dead:
    """Which ways have failed for one request, so that no other name leads to the same one again."""

    def __init__(self) -> None:
        self._ways: set[tuple[int, str]] = set()
        self._models: set[str] = set()
        self._needed_tokens = 0

    def add(self, candidate: Candidate, error: BackendError, prompt_tokens: int) -> None:
        self._ways.add((id(candidate.backend), candidate.model))
        if not isinstance(error, Unreachable):
            self._models.add(candidate.model)
        if isinstance(error, UpstreamRefusal) and error.code == TOO_LONG:
            known = candidate.backend.context_tokens(candidate.model)
            self._needed_tokens = max(self._needed_tokens, prompt_tokens, known)

    def covers(self, candidate: Candidate) -> bool:
        """The same way; a stand-in for the same model; or, once a prompt was too long, nobody known to take more."""
        if (id(candidate.backend), candidate.model) in self._ways:
            return True
        if candidate.expert.id < 0 and candidate.model in self._models:
            return True
        return bool(self._needed_tokens) and candidate.backend.context_tokens(candidate.model) <= self._needed_tokens


def _may_be_empty(request: ChatRequest) -> bool:
    """Whether an answer without a letter can be right: a stop string came first, or a bare text goes no further."""
    is_bare = request.completion is not None and (request.completion.raw or bool(request.completion.suffix))
    return request.only_loads or is_bare or bool(request.sampling.stop)


def _hold(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Everything at the end, a heartbeat for each piece meanwhile: who waits for the whole answer never gets half
    of a broken one, so another attempt may begin from the start."""
    held: list[Chunk] = []
    for chunk in chunks:
        if not isinstance(chunk, Heartbeat):
            held.append(chunk)
        yield _BEAT
    yield from held


def _pause(wait_s: float) -> Iterator[Chunk]:
    """Waits, with heartbeats, so that a client that leaves meanwhile is noticed."""
    until = time.monotonic() + wait_s
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, HEARTBEAT_S))
        yield _BEAT
