"""What a merger writes on its way to the client: held back until it is surely an answer, and only for so long."""

from __future__ import annotations

import re
import time
from collections.abc import Generator

from msgspec import structs

from ...core import ChatRequest, Chunk, Done, Heartbeat, Refusal, Started, Text, Thinking
from ...errors import BackendError, TimedOut
from ..asking import Asking
from ..symptoms import read_symptoms
from .assembly import LIMIT, close, find_language

Chunks = Generator[Chunk, None, None]
# Who refuses says so in the beginning.
MOST_HELD = 80
# Who speaks when the request's time is over may go on for this share of it.
GRACE = 1.0
_HELD = Heartbeat(is_held=True)
_LETTER = re.compile(r"\w")


class Unusable(BackendError):
    """Nothing that it wrote has been seen, and it is worth less than the parts that it is made of."""


class Merging:
    """One try. `has_said`: the client has seen text of it."""

    def __init__(
        self, request: ChatRequest, asking: Asking, *, tools: tuple[str, ...], is_limited: bool, may_refuse: bool
    ) -> None:
        """`tools` are those that the answer rests on. `is_limited`: it says at its end that parts of it are missing for
        a limit's sake; `may_refuse`: the parts say no more than one that does."""
        self.has_said = False
        self._request = request
        self._asking = asking
        self._tools = tools
        self._is_limited = is_limited
        self._may_refuse = may_refuse
        self._until = asking.ends + GRACE * asking.limits.deadline_s
        self._who: Started | None = None
        self._has_begun = self._has_refused = False
        self._texts: list[str] = []
        self._held: list[Chunk] = []

    def follow(self, chunks: Chunks) -> Chunks:
        """Raises Unusable, and TimedOut where it has not begun to speak when the request's time is over."""
        for chunk in chunks:
            self._has_begun = self._has_begun or not isinstance(chunk, Heartbeat) or chunk.is_held
            if self._is_over():
                yield from self._break_off()
                return
            if isinstance(chunk, Heartbeat):
                yield chunk
            elif isinstance(chunk, Started):
                self._who = chunk
            elif isinstance(chunk, Thinking) and not self._held:
                yield from self._begin()
                yield chunk
            elif isinstance(chunk, Done):
                yield from self._finish(chunk)
            else:
                yield from self._take(chunk)

    def _take(self, chunk: Chunk) -> Chunks:
        """A piece of the answer, or a call, which is one as well."""
        if self.has_said:
            self._texts += [chunk.text] if isinstance(chunk, Text) else []
            yield chunk
            return
        self._held.append(chunk)
        if not isinstance(chunk, Text):
            yield from self._release()
            return
        self._texts.append(chunk.text)
        self._has_refused = self._has_refused or isinstance(chunk, Refusal)
        text = "".join(self._texts)
        if not self._request.stream or len(text.strip()) < MOST_HELD:
            yield _HELD
            return
        self._check(text)
        yield from self._release()

    def _finish(self, done: Done) -> Chunks:
        text = "".join(self._texts)
        if not self.has_said:
            self._check(text, done)
            yield from self._release()
        if self._is_limited and done.finish == "stop" and not done.stop_sequence:
            yield self._tell_limit(text)
        yield structs.replace(done, tools=self._tools)

    def _check(self, text: str, done: Done | None = None) -> None:
        """Raises Unusable; of an answer that is not `done`, its end does not count."""
        if not _LETTER.search(text):
            raise Unusable("it said nothing", reason="it said nothing")
        if self._may_refuse:
            return
        symptoms = read_symptoms(text)
        if self._has_refused or symptoms.refuses or (done is not None and done.finish == "content_filter"):
            raise Unusable("it refused", reason="it refused, and the parts do not")
        if done is not None and symptoms.loops:
            raise Unusable("it went round in circles", reason="it went round in circles")

    def _is_over(self) -> bool:
        now = time.monotonic()
        return now >= self._asking.ends and (not self._has_begun or now >= self._until)

    def _break_off(self) -> Chunks:
        """Raises TimedOut where nobody has seen anything of it."""
        if not self.has_said:
            raise TimedOut("it took too long", reason="took too long")
        yield self._tell_limit("".join(self._texts))
        yield Done(finish="length", tools=self._tools)

    def _tell_limit(self, text: str) -> Text:
        return Text(f"{close(text)}\n\n{LIMIT[find_language(self._request)]}")

    def _begin(self) -> Chunks:
        if self._who is not None:
            yield self._who
            self._who = None

    def _release(self) -> Chunks:
        self.has_said = True
        yield from self._begin()
        yield from self._held
        self._held.clear()
