"""How a model is reached: the one protocol that every backend keeps, and the contract suite tests."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol, runtime_checkable

from ..core import ChatRequest, Chunk, Heartbeat

# A wait is never longer than this without a Heartbeat, so that whoever listens can look up.
HEARTBEAT_S = 0.25
BEAT = Heartbeat()

Chunks = Generator[Chunk, None, None]


class Backend(Protocol):
    """One way to one or more models. Thread-safe; every call is independent.

    `routes` is the number of machines that could serve, so the number of silent ones worth trying.
    """

    routes: int

    def chat(self, request: ChatRequest) -> Chunks:
        """Yields the answer to `request`, whose `model` is the upstream's own name for it.

        Heartbeats while waiting, then pieces, then exactly one Done. Raises BackendError and nothing else.
        Closing the iterator stops the model.
        """

    def misfit(self, request: ChatRequest) -> str:
        """Why this model cannot serve this request ("does not support tools"), "" when it can or nobody knows."""

    def ignores(self, request: ChatRequest) -> tuple[str, ...]:
        """What `request` asks and this model cannot give, though it answers: fields under OpenAI's names."""

    def first_token_limit_s(self, request: ChatRequest) -> float:
        """How long the first token may take, by whether the model is in memory and how long the prompt is."""

    def idle_limit_s(self, model: str) -> float:
        """How long an answer of `model` may pause once it has begun."""

    def context_tokens(self, model: str) -> int:
        """The longest prompt `model` can take, in tokens; 0 when nobody knows."""

    def is_remote(self, model: str) -> bool:
        """Whether a prompt for `model` leaves the user's own machines."""

    def trouble(self, model: str) -> str:
        """Why `model` could not be reached, as far as is known without asking; "" when nothing is amiss."""


@runtime_checkable
class Counting(Protocol):
    """A backend that knows its models' own tokens."""

    def count_tokens(self, request: ChatRequest) -> int | None:
        """How many tokens the prompt is; None when it cannot say without loading a model."""


@runtime_checkable
class Leaving(Protocol):
    """A backend that may leave thoughts in its answers."""

    def begins_inside(self, request: ChatRequest) -> bool:
        """Whether an answer may begin within a thought, because its opening mark stands in the prompt."""


class Modelless:
    """What holds for a backend that speaks without a model: nothing is out of reach, and nothing takes long."""

    routes = 1

    def is_remote(self, model: str) -> bool:
        return False

    def trouble(self, model: str) -> str:
        return ""

    def context_tokens(self, model: str) -> int:
        return 0

    def first_token_limit_s(self, request: ChatRequest) -> float:
        return 1.0

    def idle_limit_s(self, model: str) -> float:
        return 1.0
