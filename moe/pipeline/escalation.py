"""A second look: tier 1 answers first, and where its answer is not sure enough, tier 2 does.

Nothing of tier 1 is seen until it is trusted: a prefix that is surely good is let go and streams on, one that is surely
bad is stopped. Whoever answers is rated at the end, and tier 1's record learns from what tier 2 says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing

from msgspec import structs

from ..backends.builtin import BUILTIN
from ..core import ChatRequest, Chunk, Decision, Done, Heartbeat, Started, Text, Thinking
from ..errors import MoeError, UpstreamRefusal
from ..routing.hardness import poses_problem
from .asking import Asking, Chunks, extend
from .assess import Assessment, assess, foresee, glance, judge, read_asked
from .hearing import Habits, Hearing
from .offering import TOO_LONG
from .progress import STEP
from .sameness import same_answer
from .staff import Staff
from .weighing import add_step, find_attempt, find_flaw, find_reason, tell_limit

Observe = Callable[[str, str, bool], None]
# How a model has done in a domain, 0 to 1; None where nothing is known.
PastScore = Callable[[str, str], float | None]

# A prefix is let go where it is so much surer than an answer need be, as the rest may be worse, and stopped where it is
# so much less sure, as the rest will hardly make up for it.
SURER_BY, WORSE_BY = 0.08, 0.25
# From so many tokens on their probabilities tell something; without them a short answer is read whole.
FIRST_LOOK, SHORT = 48, 1500
_AGAIN = 1.5
# On MMLU and GSM8K a large model failed about half as often as a small one.
LARGE_FAILS = 0.5
# So much of tier 2 is read for a refusal; so much of the time is left to its first word, unless its backend gives less.
OPENING, FIRST_WORD = 80, 1 / 3
_HELD = Heartbeat(is_held=True)


class Escalation:
    """What outlives a request: which models tell log probabilities. Thread-safe; one for each configuration."""

    def __init__(self, past_score: PastScore = lambda model, domain: None) -> None:
        self._habits = Habits()
        self._past_score = past_score

    def run(
        self, request: ChatRequest, decision: Decision, asking: Asking, staff: Staff, *, observe: Observe
    ) -> Chunks:
        """The answer of tier 1, or of tier 2 where that is better; of tier 1 at once where there is no other. `observe`
        is told whether tier 2 said the same, where that can be told. Raises MoeError where nobody could answer."""
        second = staff.second(decision, than=decision.model) if decision.tier == 1 else None
        if second is None:
            asking.trace.plan("direct")
            add_step(asking, "no model of tier 2 can answer now" if decision.tier == 1 else "there is no tier 1 for it")
            return judge(asking.stream(request, decision), decision, asking.trace, glance)
        return _Look(request, decision, second, asking, habits=self._habits, past_score=self._past_score,
                     observe=observe).run()


class _Look:
    """One request."""

    def __init__(
        self, request: ChatRequest, first: Decision, second: Decision, asking: Asking, *, habits: Habits,
        past_score: PastScore, observe: Observe,
    ) -> None:
        self._request = request
        self._original = first
        self._first = structs.replace(first, is_alone=True, virtual=False)
        self._second = second
        self._asking = asking
        self._habits = habits
        self._observe = observe
        self._past = past_score(first.model, first.expert.label)
        self._below = asking.limits.escalate_below
        self._fails = foresee(request)
        self._is_problem = poses_problem(read_asked(request))
        self._wanted, has_trailer = habits.want(request, first, reports=True)
        self._heard = Hearing(first, has_trailer=has_trailer)
        self._held, self._lines = list[Chunk](), list[str]()
        self._next_look, self._next_size = FIRST_LOOK, SHORT
        self._found: Assessment | None = None
        self._shown: Started | None = None
        self._is_let_go = self._is_stopped = self._is_noted = self._shows_attempt = self._is_limited = False
        self._failure = ""

    def run(self) -> Chunks:
        try:
            yield from self._hear()
        except MoeError as error:
            if self._is_let_go or (isinstance(error, UpstreamRefusal) and error.code != TOO_LONG):
                raise
            self._found, self._failure = None, find_reason(error)
        if self._is_let_go:
            return
        if self._is_whole and self._found is not None and self._found.confidence >= self._below:
            yield from self._let_go()
            return
        refusal = self._asking.refusal()
        self._is_limited = bool(refusal)
        self._note(f"{refusal}, so tier 1 has the last word" if refusal else "tier 2 is asked")
        yield from self._show(refusal or "asking tier 2")
        is_answered = False if refusal else (yield from self._ask_second())
        if not is_answered:
            yield from self._fall_back()

    @property
    def _is_whole(self) -> bool:
        return self._heard.done is not None

    def _hear(self) -> Chunks:
        """Tier 1, to its end or until it is stopped."""
        asked = self._habits.stream(self._wanted, self._first, self._heard, self._asking, is_held=True)
        with closing(asked) as chunks:
            for chunk in chunks:
                if isinstance(chunk, Heartbeat):
                    yield chunk
                    continue
                self._held.append(chunk)
                if isinstance(chunk, Started) and self._is_problem and self._request.stream and self._asking.shows:
                    self._lines.append(f"{STEP}tier 1: asking")
                    yield from self._begin(chunk)
                if isinstance(chunk, Done):
                    self._found = self._rate(self._heard, self._first)
                elif not self._is_let_go:
                    self._look_at(chunk)
                if self._is_stopped:
                    break
                if self._is_let_go:
                    yield from self._let_go()
                else:
                    yield _HELD
        if self._is_stopped and self._found is not None:
            self._asking.trace.rate(self._first.expert.label, self._first.model, self._found.confidence)

    def _look_at(self, chunk: Chunk) -> None:
        """Whether what has come is enough to let it go, or to stop it."""
        if not isinstance(chunk, (Started, Text, Thinking)):
            self._is_let_go = True  # a call is the client's to make
        if not self._request.stream or isinstance(chunk, Started) or self._is_let_go:
            return
        if self._asking.refusal():
            self._is_let_go = self._is_limited = True
            return
        size, count = self._heard.size, self._heard.tokens.count
        is_telling = count >= self._next_look and not self._is_problem  # of sums, only the end tells enough
        if not is_telling and size < self._next_size:
            return
        self._next_look, self._next_size = int(max(count, FIRST_LOOK) * _AGAIN), max(SHORT, int(size * _AGAIN))
        self._found = self._assess(self._heard, self._first, is_whole=False)
        self._is_let_go = self._found.confidence >= self._below + (SURER_BY if count else 0)
        self._is_stopped = self._found.confidence < self._below - WORSE_BY

    def _let_go(self) -> Chunks:
        """What is held back of tier 1."""
        self._is_let_go = True
        held, self._held = self._held, []
        for chunk in held:
            if isinstance(chunk, Done) and self._found is not None:
                self._asking.trace.judge(self._found.confidence)
                if not self._is_noted:
                    self._note("tier 1's answer stands")
                is_doubtful = self._is_limited and self._found.confidence < self._below
                yield from tell_limit(chunk, self._request, self._heard.said.text) if is_doubtful else ()
            yield from self._pass_on([chunk])

    def _ask_second(self) -> Generator[Chunk, None, bool]:
        """Whether tier 2 has answered. Where tier 1's answer can stand instead, nothing of it is seen until its opening
        is no refusal, or where it is wanted whole, until it is known to be no worse."""
        heard, held, can_lose = Hearing(self._second), list[Chunk](), self._is_usable
        attempt = find_attempt(self._found, self._heard.said.text) if self._is_whole else ""
        asked, self._shows_attempt = extend(self._request, attempt), bool(attempt)
        wanted, _ = self._habits.want(asked, self._second, reports=False)
        wanted = structs.replace(wanted, stream=True) if can_lose else wanted  # its first word counts
        now, next_size = time.monotonic(), OPENING
        word_ends = now + (self._asking.ends - now) * FIRST_WORD
        try:
            with closing(self._habits.stream(wanted, self._second, heard, self._asking, is_held=can_lose)) as chunks:
                for chunk in chunks:
                    if (can_lose or heard.who is None) and self._is_late(heard, word_ends):
                        return False
                    if isinstance(chunk, Heartbeat):
                        yield chunk
                        continue
                    if isinstance(chunk, Done) and not self._conclude(heard, can_lose=can_lose):
                        return False
                    held.append(chunk)
                    if can_lose and isinstance(chunk, Text) and self._request.stream and heard.size >= next_size:
                        next_size = int(heard.size * _AGAIN)
                        can_lose = self._assess(heard, self._second, is_whole=False).is_bare
                    can_lose = can_lose and isinstance(chunk, (Started, Text, Thinking))
                    if not can_lose or (heard.size == 0 and self._request.stream and isinstance(chunk, Thinking)):
                        yield from self._pass_on(held)
                        held.clear()
                    else:
                        yield _HELD
        except MoeError as error:
            if heard.who is not None and not can_lose:
                raise
            stands = ", so tier 1's answer stands" if self._is_whole else ""
            self._note(f"tier 2 failed ({find_reason(error)}){stands}")
            return False
        return True

    def _is_late(self, heard: Hearing, word_ends: float) -> bool:
        """Whether tier 2 takes too long for an answer that is there already."""
        now, ends = time.monotonic(), self._asking.ends
        if not self._is_whole or now < (word_ends if heard.who is None else ends):
            return False
        self._is_limited = now >= ends
        self._note("tier 2 took too long, so tier 1's answer stands")
        return True

    @property
    def _is_usable(self) -> bool:
        """Whether tier 1's answer is one."""
        return self._is_whole and self._found is not None and not self._found.is_bare and bool(
            self._heard.said.text.strip())

    def _pass_on(self, chunks: list[Chunk]) -> Chunks:
        for chunk in chunks:
            yield from self._begin(chunk) if isinstance(chunk, Started) else (self._asking.pass_on(chunk),)

    def _conclude(self, heard: Hearing, *, can_lose: bool) -> bool:
        """Whether tier 2's whole answer is the better one. It tells how tier 1 did, unless it was shown the attempt, or
        is not sure itself."""
        found, first = self._rate(heard, self._second, likely=1 - LARGE_FAILS * self._fails), self._found
        finish = heard.said.done.finish
        if can_lose and first is not None:
            flaw = find_flaw(found, finish, first=first, first_finish=self._heard.said.done.finish)
            if flaw:
                self._note(f"tier 2 {flaw}, so tier 1's answer stands")
                return False
        self._asking.trace.judge(found.confidence)
        is_witness = not found.is_bare and found.confidence >= self._below and finish == "stop"
        if self._is_whole and first is not None and is_witness and not self._shows_attempt:
            is_same = False if first.is_bare else same_answer(self._heard.said.text, heard.said.text)
            if is_same is not None:
                self._observe(self._first.model, self._first.expert.label, is_same)
        return True

    def _fall_back(self) -> Chunks:
        """Tier 1's answer after all; where there is none, whoever stands in."""
        if self._is_whole and (self._heard.said.text.strip() or self._asking.refusal()):
            yield from self._let_go()
            return
        heard = Hearing(self._original)
        with closing(heard.follow(self._asking.stream(self._request, self._original))) as chunks:
            for chunk in chunks:
                if isinstance(chunk, Done) and heard.said.who.model != BUILTIN:
                    self._asking.trace.judge(self._rate(heard, self._original).confidence)
                yield from self._begin(chunk) if isinstance(chunk, Started) else (chunk,)

    def _rate(self, heard: Hearing, decision: Decision, *, likely: float | None = None) -> Assessment:
        """Of a whole answer, in the trace too."""
        if decision is not self._original:
            self._habits.learn(decision, tells=heard.tells)
        found = self._assess(heard, decision, likely=likely)
        who = heard.said.who
        self._asking.trace.rate(who.expert, who.model, found.confidence)
        return found

    def _assess(
        self, heard: Hearing, decision: Decision, *, likely: float | None = None, is_whole: bool = True
    ) -> Assessment:
        return assess(
            heard.said, self._request, expert=decision.expert, self_report=heard.self_report, refuses=heard.has_refused,
            likely=likely if is_whole else 1 - self._fails, is_whole=is_whole,
            past_score=self._past if decision is self._first else None,
        )

    def _note(self, what: str) -> None:
        """A step of the trace: why it goes on as it does."""
        found, told = self._found, f"tier 1 failed ({self._failure})"
        self._is_noted = True
        if found is not None:
            side = "below" if found.confidence < self._below else "not below"
            told = f"{found.confidence:.2f} is {side} {self._below:.2f} ({found.reason})"
        add_step(self._asking, f"{told}; {what}", confidence=None if found is None else found.confidence)

    def _show(self, what: str) -> Chunks:
        """A line about it, at once where the client follows as it comes, else within the answer."""
        told = f"failed ({self._failure})" if self._found is None else f"{self._found.confidence:.2f}"
        self._lines.append(f"{STEP}tier 1: {told}, {what}")
        who = self._heard.who
        if who is not None and self._request.stream and self._asking.shows:
            yield from self._begin(who)

    def _begin(self, who: Started) -> Chunks:
        if who is not self._shown:
            self._shown = who
            yield who
        lines, self._lines = self._lines, []
        yield from map(self._asking.show, lines)
