"""What a request hands to the scheduler, and what it gets back."""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct, structs

from ...core import TokenLogprob
from ...errors import BackendError
from ..dialogue.certainty import weigh
from ..dialogue.ledger import Mark
from ..dialogue.plan import Plan
from ..dialogue.transcript import Transcript
from ..logprobs import bound, find_likeliest, spell
from .runner import Row, Runner


class Outcome(Struct, frozen=True, kw_only=True):
    """How an answer ended; times in nanoseconds. `stop`: the stop string that ended it, else "". `certainty` is that of
    the chosen tokens before sampling shifted any, as `weigh` gives it."""

    finish: Literal["stop", "length"]
    stop: str
    prompt_tokens: int
    tokens: tuple[int, ...]
    prompt_ns: int
    completion_ns: int
    certainty: dict[str, Any]


Said = str | Mark | Outcome | BackendError


class Job:
    """One answer to be written. Whoever submits it takes from `said`: texts, where `top` is a number a Mark before each
    token's, then an Outcome or an error."""

    def __init__(
        self, prompt: Sequence[int], *, limit: int, plan: Plan, grammar: str = "", stops: Sequence[str] = (),
        top: int | None = None,
    ) -> None:
        """`limit`: how many tokens it may write; `top`: how many of the likeliest are told beside each."""
        self.tokens = list(prompt)
        self.prompt_tokens = len(self.tokens)
        self.limit = limit
        self.plan = plan
        self.grammar = grammar
        self.top = top
        self.transcript = Transcript(stops)
        self.said: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self.is_given_up = False
        self._logprobs: list[float] = []
        self._began_ns = 0
        self._first_ns = 0

    @property
    def written(self) -> int:
        return len(self.tokens) - self.prompt_tokens

    def give_up(self) -> None:
        """Nobody listens any more; the scheduler sees it before its next step."""
        self.is_given_up = True

    def begin(self) -> None:
        self._began_ns = self._began_ns or time.perf_counter_ns()

    def write(self, token: int, logprob: float) -> None:
        self._first_ns = self._first_ns or time.perf_counter_ns()
        self.tokens.append(token)
        self._logprobs.append(logprob)

    def hear(self, token: int, runner: Runner, *, row: Row, total: float) -> None:
        """Says what `token` makes certain; of the logits in `row`, `total` is taken for their log probabilities."""
        text = self.transcript.feed(runner.piece(token))
        if self.top is not None:
            odds = [TokenLogprob(spell(runner.piece(each)) or runner.text_of(each), bound(float(row[each]) - total))
                    for each in (token, *find_likeliest(row, self.top))]
            self.said.put(Mark(self.transcript.length, structs.replace(odds[0], top=tuple(odds[1:]))))
        self.say(text)

    def say(self, text: str) -> None:
        if text:
            self.said.put(text)

    def end(self, finish: Literal["stop", "length"]) -> None:
        self.say(self.transcript.finish())
        now_ns = time.perf_counter_ns()
        first_ns = self._first_ns or now_ns
        self.said.put(Outcome(
            finish=finish, stop=self.transcript.stop, prompt_tokens=self.prompt_tokens,
            tokens=tuple(self.tokens[self.prompt_tokens :]), prompt_ns=first_ns - self._began_ns,
            completion_ns=now_ns - first_ns, certainty=weigh(self._logprobs),
        ))

    def fail(self, error: BackendError) -> None:
        self.said.put(error)
