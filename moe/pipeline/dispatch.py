"""Carries a decision to an answer: tries the candidates in order, silently, until one begins to speak."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from functools import partial

from ..backends.builtin import BUILTIN, Builtin
from ..config import RunnerConfig
from ..core import ChatRequest, Chunk, Decision, Started
from ..errors import (
    BackendError,
    BadAnswer,
    BadRequest,
    Busy,
    Crowded,
    InvalidAnswer,
    ModelNotFound,
    NotReady,
    TimedOut,
    TooManyRequests,
    Unanswered,
    Unreachable,
    UpstreamFailure,
    UpstreamRefusal,
)
from ..log import clean
from ..trace import Stage, Trace
from .attempt import BLIND, Attempt, Attempts, Misfit
from .calling import EmptyAnswer
from .form import Form
from .lineup import Candidate, Lineup
from .noting import Call, note_builtin
from .offering import TOO_LONG, TOO_MANY
from .settle import prompt_tokens

log = logging.getLogger("moe.dispatch")

NOT_FOUND, FULL = 404, 503
# What a client calls that which a model lacks.
_PARAMS = {"tools": "tools", "images": "images", "insert": "suffix", "chat": "model", "generate": "model",
           "completions": "model"}
# Who has no right, no money or no such model has none the next time either.
_LASTING = (401, 402, 403, 404)
# So many models may give an answer that cannot be used; more would hardly do better, and each takes its time.
MOST_UNUSABLE = 2
_NOBODY: Mapping[str, BackendError] = {}


class _Resting(TimedOut):
    """It was silent before, and was not asked."""

    reason = "was silent, and is left alone for a while"


class Dispatcher:
    """Failover over a lineup; holds no request state."""

    def __init__(
        self,
        lineup: Lineup,
        runner: RunnerConfig,
        *,
        on_failure: Callable[[str, str], None],
        advice: Callable[[], str],
        logs_words: bool = False,
    ) -> None:
        """`logs_words`: whether what an upstream says of a failure goes to the log; it may quote what was said."""
        self._lineup = lineup
        self._attempts = Attempts(runner, advice=advice, logs_words=logs_words)
        self._on_failure = on_failure
        self._advice = advice
        self._rest_s = max(1.0, runner.breaker_cooldown_s)

    def run(
        self, request: ChatRequest, decision: Decision, *, request_id: str, form: Form | None = None,
        failed: Mapping[str, BackendError] = _NOBODY, trace: Trace | None = None, stage: Stage = "workers",
    ) -> Generator[Chunk, None, None]:
        """Heartbeats while nobody speaks, then Started, then the answer, Done last. Each try is a step of `stage`.

        Raises before Started: UpstreamRefusal or BadRequest when the request itself is at fault, Busy when too many
        wait, InvalidAnswer when nobody kept to the `form`, Unanswered when all failed. After Started, for a stream
        only: BackendError when the answer broke off, or broke its form. Who has `failed` before is not asked again.
        """
        note = partial(Call, trace := trace or Trace(), stage=stage)
        tried = dict(failed)
        dead = _Dead()
        resting: list[Candidate] = []
        for candidate in self._in_turn(request, decision, resting, request_id=request_id, note=note):
            is_decided = candidate.expert is decision.expert
            is_admitted = all(other is not candidate for other in resting)
            if isinstance(candidate.backend, Builtin) and is_decided:
                break
            if candidate.expert.label in failed:
                dead.add(candidate, failed[candidate.expert.label], prompt_tokens(request))
            if isinstance(candidate.backend, Builtin) or dead.covers(candidate):
                if is_admitted:
                    candidate.breaker.release()
                continue
            passed_over = [other.expert.label for other in resting if other is not candidate]
            lost = tuple(dict.fromkeys((*passed_over, *tried)))
            attempt = Attempt(candidate, lost, form=form, is_first=is_decided, is_admitted=is_admitted)
            call = note(candidate, in_place_of="" if is_decided else decision.expert.label)
            try:
                yield from call.follow(self._attempts.serve(attempt, request), streams=request.stream)
                return
            except BackendError as error:
                lost_ms = call.fail(error, has_started=attempt.has_started)
                self._note(attempt, error, f"request={request_id} lost_ms={lost_ms:.0f}")
                _end_here(attempt, error, decision)
                tried[candidate.expert.label] = error
                if error.reason != BLIND:  # another expert may know better of the same model
                    dead.add(candidate, error, prompt_tokens(request))
                _drop_frames(error)
                if dead.are_enough:
                    break
        for silent in (candidate for candidate in resting if candidate.breaker.was_silent):
            tried.setdefault(silent.expert.label, _Resting())
        yield from self._give_up(request, decision, tried, trace)

    def hold(self, decision: Decision, who: Started) -> Decision:
        """For another round with the one who has begun to answer, and with nobody else."""
        return self._lineup.hold(decision, who)

    def _in_turn(
        self, request: ChatRequest, decision: Decision, resting: list[Candidate], *, request_id: str,
        note: Callable[[Candidate], Call],
    ) -> Iterator[Candidate]:
        """The candidates whose breaker admits them; the others, told in `resting`, last: trying beats giving up, but
        not to wait once more for one that was silent."""
        for candidate in self._lineup.candidates(decision, is_special=bool(request.tools) or request.has_image):
            if candidate.breaker.admit():
                yield candidate
            else:
                if candidate.expert is decision.expert:
                    self._refuse_misfit(candidate, request, decision)
                log.warning("[Auto-Correction] request=%s expert=%s reason=circuit open lost_ms=0", request_id,
                            clean(candidate.expert.label))
                note(candidate).skip("it failed before, and is left alone for a while")
                resting.append(candidate)
        yield from [candidate for candidate in resting if not candidate.breaker.was_silent]

    def _refuse_misfit(self, candidate: Candidate, request: ChatRequest, decision: Decision) -> None:
        """Who names an expert that cannot do it is told so, whether it rests or not. Raises BadRequest."""
        attempt = Attempt(candidate, (), form=None, is_first=True, is_admitted=False)
        try:
            self._attempts.prepare(attempt, request)
        except (Misfit, NotReady) as error:
            _end_here(attempt, error, decision)

    def _give_up(
        self, request: ChatRequest, decision: Decision, tried: dict[str, BackendError], trace: Trace
    ) -> Iterator[Chunk]:
        """The built-in answer where one may be given, else the error that says what was tried."""
        errors = list(tried.values())
        told = tuple((label, error.reason) for label, error in tried.items())
        _complain(errors)
        builtin = self._lineup.builtin
        may_speak = decision.virtual or decision.expert.type == "builtin"
        is_plain = not builtin.misfit(request) and not request.only_loads and not request.has_image
        if may_speak and is_plain:
            speaker = decision.expert.label if decision.expert.type == "builtin" else BUILTIN
            note_builtin(trace, speaker)
            yield Started(expert=speaker, model=BUILTIN, failed=tuple(tried))
            yield from builtin.explain(decision, told, self._advice())
            return
        if decision.stage == "raw" and not decision.virtual and _is_missing(errors):
            raise ModelNotFound(decision.model)
        if decision.stage == "explicit":
            _complain_for_good(errors, told)
        _complain_of_nothing(errors, told)
        wait_s = _find_wait(errors)
        if wait_s is None and errors and all(isinstance(error, _Resting) for error in errors):
            wait_s = self._rest_s
        advice = self._find_advice(decision, errors)
        raise Unanswered(told, retry_after_s=wait_s, advice=advice) from next(iter(errors), None)

    def _find_advice(self, decision: Decision, errors: list[BackendError]) -> str:
        """The next step where there is no model at all; what an API lacks is no model of this house."""
        is_empty = all(isinstance(error, (NotReady, Unreachable)) for error in errors)
        return self._advice() if is_empty and decision.expert.type != "api" else ""

    def _note(self, attempt: Attempt, error: BackendError, context: str) -> None:
        word = "[Auto-Correction]"
        if attempt.has_started:
            word = "[Broken-Answer]"
        elif _is_refused(attempt, error):
            word = "[Refused]"
        expert, model = attempt.candidate.expert, attempt.candidate.model
        if not isinstance(error, (UpstreamRefusal, Misfit)):
            self._on_failure(expert.label, model)
        log.warning("%s %s expert=%s model=%s %s", word, context, clean(expert.label), clean(model),
                    self._attempts.describe(error))


def _end_here(attempt: Attempt, error: BackendError, decision: Decision) -> None:
    """Raises what nobody else can mend: a broken answer, a request at fault, a full queue; and who names an expert that
    cannot do it, and has no fallback of its own, is told so."""
    if isinstance(error, Crowded):
        raise Busy from error
    if attempt.has_started or _is_refused(attempt, error):
        raise error
    is_named = attempt.is_first and decision.stage == "explicit" and not decision.expert.fallback
    if is_named and isinstance(error, Misfit):
        _complain([error])


def _is_refused(attempt: Attempt, error: BackendError) -> bool:
    return attempt.is_first and isinstance(error, UpstreamRefusal) and error.code != TOO_LONG


def _complain(errors: list[BackendError]) -> None:
    """Raises what the errors of all who were tried say together, where that is more than that they failed."""
    first = next(iter(errors), None)
    if first is None:
        return
    if isinstance(first, UpstreamRefusal):  # too long, and nobody can take more
        raise first
    for error in errors:
        if _breaks_form(error):
            raise error
    misfit = next((error for error in errors if isinstance(error, Misfit)), None)
    if misfit is not None and all(isinstance(error, (Misfit, NotReady)) for error in errors):
        raise BadRequest(misfit.message, param=_PARAMS.get(misfit.reason.rpartition(" ")[2]))
    wait_s = _find_wait(errors)
    if wait_s is not None and all(_find_wait([error]) or isinstance(error, (Misfit, NotReady)) for error in errors):
        if isinstance(first, UpstreamFailure) and first.upstream_status == TOO_MANY:
            message = f"the model's provider takes no more requests now; try again in {wait_s:.0f} s"
            raise TooManyRequests(message, retry_after_s=int(wait_s)) from first
        raise Busy(retry_after_s=wait_s) from first


def _complain_for_good(errors: list[BackendError], told: tuple[tuple[str, str], ...]) -> None:
    """Raises the named expert's own error where that will be the same the next time."""
    first = next(iter(errors), None)
    if isinstance(first, UpstreamFailure) and first.upstream_status in _LASTING and _find_wait(errors) is None:
        first.reason = Unanswered(told).message
        raise first


def _complain_of_nothing(errors: list[BackendError], told: tuple[tuple[str, str], ...]) -> None:
    """Raises that of the first, where all said nothing at all: they would again."""
    if errors and all(isinstance(error, EmptyAnswer) for error in errors):
        errors[0].reason, errors[0].is_worth_a_retry = Unanswered(told).message, False
        raise errors[0]


def _is_missing(errors: list[BackendError]) -> bool:
    """Whether the only one who was asked knows no such model."""
    return len(errors) == 1 and isinstance(errors[0], UpstreamFailure) and errors[0].upstream_status == NOT_FOUND


def _breaks_form(error: BackendError) -> bool:
    """Whether the answer was no such JSON, or no such call, as was asked for."""
    return isinstance(error, InvalidAnswer) or (isinstance(error, BadAnswer) and not error.is_worth_a_retry)


def _drop_frames(error: BackendError) -> None:
    """A traceback keeps alive whatever the exchange held."""
    error.__traceback__ = error.__cause__ = error.__context__ = None


def _find_wait(errors: Iterable[BackendError]) -> float | None:
    """When to try again, as the first of the upstreams that are only busy says; None where none is."""
    failures = (error for error in errors if isinstance(error, UpstreamFailure))
    busy = (error for error in failures if error.upstream_status in (TOO_MANY, FULL))
    return next((max(1.0, error.retry_after_s or 1.0) for error in busy), None)


class _Dead:
    """Which ways have failed for one request, so that no other name leads to the same one again. `are_enough`: so many
    gave what cannot be used that nobody else is asked."""

    def __init__(self) -> None:
        self._ways: set[tuple[int, str]] = set()
        self._models: set[str] = set()
        self._needed_tokens = 0
        self._unusable = 0
        self._is_form_broken = False

    @property
    def are_enough(self) -> bool:
        return self._unusable >= MOST_UNUSABLE

    def add(self, candidate: Candidate, error: BackendError, prompt_tokens: int) -> None:
        self._ways.add((id(candidate.backend), candidate.model))
        if not isinstance(error, Unreachable):
            self._models.add(candidate.model)
        self._unusable += isinstance(error, EmptyAnswer) or _breaks_form(error)
        self._is_form_broken = self._is_form_broken or _breaks_form(error)
        if isinstance(error, UpstreamRefusal) and error.code == TOO_LONG:
            known = candidate.backend.context_tokens(candidate.model)
            self._needed_tokens = max(self._needed_tokens, prompt_tokens, known)

    def covers(self, candidate: Candidate) -> bool:
        """The same way; a stand-in for the same model; once a form was broken, who is no expert or is not bound to it;
        once a prompt was too long, who is not known to take more."""
        if (id(candidate.backend), candidate.model) in self._ways:
            return True
        if candidate.expert.id < 0 and candidate.model in self._models:
            return True
        if self._is_form_broken and (candidate.expert.id < 0 or not candidate.binds_form):
            return True
        return bool(self._needed_tokens) and candidate.backend.context_tokens(candidate.model) <= self._needed_tokens
