"""An answer as it comes: the client's part of it, and beside it all that tells how far it is to be trusted."""

from __future__ import annotations

import re
import threading
from collections.abc import Generator
from contextlib import closing

from msgspec import structs

from ..core import ChatRequest, Chunk, Decision, Done, Refusal, Started, Text, Thinking
from ..errors import UpstreamRefusal
from .asking import Asking, Said
from .confidence import Tokens
from .trailer import REQUEST, Trailer, part

Chunks = Generator[Chunk, None, None]
_Way = tuple[str, str]
# An answer that may not have so many tokens has none to spare for a trailer.
LEAST_TOKENS = 64
_ODDS = re.compile(r"log[\s_-]?prob", re.IGNORECASE)


class Habits:
    """Which models tell log probabilities, learnt from their answers, and which do not even take the wish. Thread-safe;
    a model behind an expert counts for itself."""

    def __init__(self) -> None:
        self._tells: dict[_Way, bool] = {}
        self._refusers: set[_Way] = set()
        self._lock = threading.Lock()

    def want(self, request: ChatRequest, decision: Decision, *, reports: bool) -> tuple[ChatRequest, bool]:
        """`request` with the wish for log probabilities; where they may not come and it `reports`, with the one for the
        model's own word too, and whether it has that."""
        way = _way(decision)
        with self._lock:
            is_refuser, tells = way in self._refusers, self._tells.get(way, False)
        most = request.sampling.max_tokens
        has_room = request.format is None and (most is None or most >= LEAST_TOKENS)
        notes = (*request.notes, REQUEST) if reports and not tells and has_room else request.notes
        wanted = structs.replace(request, logprobs=None if is_refuser else 0, notes=notes)
        return wanted, len(notes) > len(request.notes)

    def learn(self, decision: Decision, *, tells: bool) -> None:
        with self._lock:
            self._tells[_way(decision)] = tells

    def _avoid(self, decision: Decision) -> None:
        """It takes no request that wants log probabilities."""
        with self._lock:
            self._refusers.add(_way(decision))

    def stream(
        self, wanted: ChatRequest, decision: Decision, heard: Hearing, asking: Asking, *, is_held: bool
    ) -> Chunks:
        """The answer, `heard` on its way; asked for once more where the wish for log probabilities is refused."""
        try:
            yield from heard.follow(asking.stream(wanted, decision, is_held=is_held))
            return
        except UpstreamRefusal as error:
            is_final = heard.who is not None or wanted.logprobs is None or not _ODDS.search(error.message)
            if is_final or asking.refusal():
                raise
        yield from heard.follow(asking.stream(structs.replace(wanted, logprobs=None), decision, is_held=is_held))
        self._avoid(decision)


class Hearing:
    """One answer. What was asked for our own sake is kept from the client: log probabilities, and the trailer where it
    `has_trailer`."""

    def __init__(self, decision: Decision, *, has_trailer: bool = False) -> None:
        self._decision = decision
        self._trailer = Trailer() if has_trailer else None
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self.tokens = Tokens()
        self.size = 0
        self.who: Started | None = None
        self.done: Done | None = None
        self.has_refused = False

    @property
    def self_report(self) -> float | None:
        return self._trailer.value if self._trailer is not None else None

    @property
    def tells(self) -> bool:
        """Whether anything came of the tokens' probabilities."""
        return bool(self.tokens.count) or (self.done is not None and self.done.mean_logprob is not None)

    @property
    def said(self) -> Said:
        """As far as it came."""
        who = self.who or Started(expert=self._decision.expert.label, model=self._decision.model)
        return Said(text="".join(self._texts), thought="".join(self._thoughts), who=who, done=self.done or Done(),
                    tokens=self.tokens)

    def follow(self, chunks: Chunks) -> Chunks:
        """What of `chunks` is for the client; closes them."""
        with closing(chunks):
            counted = self._count(chunks)
            for chunk in counted if self._trailer is None else part(counted, self._trailer):
                if isinstance(chunk, Text):
                    self._texts.append(chunk.text)
                    self.size += len(chunk.text)
                elif isinstance(chunk, Thinking):
                    self._thoughts.append(chunk.text)
                elif isinstance(chunk, Done):
                    self.done = chunk
                yield chunk

    def _count(self, chunks: Chunks) -> Chunks:
        for chunk in chunks:
            if isinstance(chunk, Started):
                ignored = tuple(name for name in chunk.ignored if name != "logprobs")
                chunk = self.who = structs.replace(chunk, ignored=ignored)
            elif isinstance(chunk, Text):
                self.has_refused = self.has_refused or isinstance(chunk, Refusal)
                if chunk.logprobs:
                    self.tokens.add(chunk.logprobs)
                    chunk = structs.replace(chunk, logprobs=())
            yield chunk


def _way(decision: Decision) -> _Way:
    return decision.expert.label, decision.model
