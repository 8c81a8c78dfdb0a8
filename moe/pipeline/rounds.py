"""One time that a model speaks, of those that an answer with calls in between takes."""

from __future__ import annotations

from collections.abc import Iterator

from ..core import ChatRequest, Done, Started, Text, Thinking, ToolCall, Usage
from ..errors import BackendError, BadAnswer, MoeError, UpstreamFailure, UpstreamRefusal
from .calling import EmptyAnswer, OnlyCalls
from .settle import CHARS_PER_TOKEN, prompt_tokens

FAULT = 500
_GAP = "\n\n"


class Round:
    """As far as it came. `calls` are those of our tools; `has_called`: one of the client's was passed on."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.calls: list[ToolCall] = []
        self.calls_ours = self.has_called = False
        self.who: Started | None = None
        self.done: Done | None = None

    @property
    def has_said(self) -> bool:
        return self.has_called or any(map(str.strip, self.texts))

    def count(self, asked: ChatRequest) -> Usage:
        """What it took, estimated where nobody says."""
        if self.done is not None and self.done.usage is not None:
            return self.done.usage
        size = sum(map(len, (*self.texts, *self.thoughts))) + sum(len(call.arguments) for call in self.calls)
        return Usage(prompt_tokens=prompt_tokens(asked), completion_tokens=-(-size // CHARS_PER_TOKEN), estimated=True)

    def check(self, asked: ChatRequest, *, is_last: bool) -> None:
        """Raises OnlyCalls for nothing but calls where none may be made, EmptyAnswer for nothing at all, unless a stop
        string may have come first."""
        if self.has_said or (self.calls and not is_last):
            return
        if self.calls_ours:
            raise OnlyCalls
        if self.done is not None and self.done.finish == "stop" and not asked.sampling.stop:
            raise EmptyAnswer


class Before:
    """What the rounds before came to."""

    def __init__(self) -> None:
        self.spent: Usage | None = None
        self.said = ""  # the end of it, until more is said
        self._thought = ""

    def note(self, spoken: Round, asked: ChatRequest) -> None:
        self.spent = spoken.count(asked).plus(self.spent)
        said = "".join(spoken.texts)
        self.said = said[-len(_GAP):] if said.strip() else self.said
        self._thought = next(reversed(spoken.thoughts), self._thought)

    def part(self) -> Iterator[Text]:
        """What is said before and after a call does not run together."""
        gap = _GAP[len(self.said) - len(self.said.rstrip("\n")):]
        self.said = ""
        if gap:
            yield Text(gap)

    def show(self, line: str) -> Thinking:
        """A line of its own among the thoughts."""
        before = "\n" if self._thought and not self._thought.endswith("\n") else ""
        self._thought = "\n"
        return Thinking(f"{before}{line}\n")

    def find_left(self, who: Started) -> int | None:
        """How many tokens the answer of one may still have; None for no limit."""
        limit = who.sent.sampling.max_tokens if who.sent is not None else None
        if limit is None or limit < 0:
            return None
        return max(0, limit - (self.spent.completion_tokens if self.spent is not None else 0))


def find_cause(error: MoeError) -> BackendError:
    """What went wrong with the one who was asked, where nobody else could be."""
    cause = error.__cause__ if isinstance(error.__cause__, BackendError) else error
    return cause if isinstance(cause, BackendError) else BackendError()


def lies_in_calls(error: BackendError) -> bool:
    """Whether the same model may well answer a conversation without calls: some take no results, or say nothing
    after them."""
    is_fault = isinstance(error, UpstreamFailure) and error.upstream_status == FAULT and error.retry_after_s is None
    return is_fault or isinstance(error, (UpstreamRefusal, BadAnswer))
