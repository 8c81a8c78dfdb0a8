"""What the client's `model` means: the router itself, an expert, a model upstream, or nothing known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from ..aliases import plain
from ..config.rules import RESERVED
from ..config.schema import Config
from ..core import ChatRequest, Decision, ToolCall
from ..errors import ModelNotFound
from ..experts import Expert

# What a reply names as its model where a tool answered; clients send it back.
TOOLS = "tools"
_CLOUD_MODEL = re.compile(r"gpt-.*|claude-.*|o[0-9].*", re.DOTALL)


class Models(Protocol):
    """What routing must know of the models that exist; asked often, so it answers from memory."""

    def find(self, name: str) -> str | None:
        """The full name of the upstream model that `name` means, or None."""

    def loaded(self, capability: str = "completion") -> str | None:
        """A model that is in memory and can do this at once, in Ollama's word for it, or None."""

    def is_available(self, expert: Expert) -> bool:
        """Whether the expert can be expected to answer."""

    def model_of(self, expert: Expert) -> str:
        """The model that serves the expert, "" for none."""

    def sees(self, expert: Expert, model: str) -> bool:
        """Whether the expert, served by `model`, is known to take images."""


class Caller(NamedTuple):
    """Who made a call of a tool: an expert's label with the model that served it, or twice the name of a model."""

    expert: str
    model: str


class Callers(Protocol):
    """Who made which call; asked often, so it answers from memory."""

    def find(self, call: ToolCall, request: ChatRequest) -> Caller | None:
        """Who made the `call` that the conversation shows, None where that is not known."""


class NoModels:
    """Nothing upstream is known and every expert is taken as available: for routing without a network."""

    def find(self, name: str) -> str | None:
        return None

    def loaded(self, capability: str = "completion") -> str | None:
        return None

    def is_available(self, expert: Expert) -> bool:
        return True

    def model_of(self, expert: Expert) -> str:
        return expert.model_name

    def sees(self, expert: Expert, model: str) -> bool:
        return expert.vision


class Names:
    """Every name a client may ask for."""

    def __init__(self, config: Config, models: Models) -> None:
        self._experts = _named(config.experts)
        self._models = models
        self._config = config

    def resolve(self, model: str) -> Decision | None:
        """The decision that the name alone settles; None if the router must choose. Raises ModelNotFound."""
        asked = model.strip()
        name = plain(asked)
        expert = self._experts.get(name)
        if expert is not None:
            return Decision(expert=expert, stage="explicit", confidence=1.0)
        if not name or name in RESERVED:
            return None
        found = self._models.find(asked)
        if found is not None:
            return decide_raw(found)
        if name == TOOLS or is_routed(name, self._config):
            return None
        raise ModelNotFound(model)

    def recall(self, caller: Caller) -> Decision | None:
        """The decision for whoever made a call, None if that one is gone."""
        expert = next((expert for expert in self._config.experts if expert.label == caller.expert), None)
        if expert is not None:
            return Decision(expert=expert, stage="context", confidence=1.0)
        if caller.expert == caller.model and self._models.find(caller.model) == caller.model:
            return replace(decide_raw(caller.model), stage="context")
        return None


def is_routed(name: str, config: Config) -> bool:
    """Whether the router chooses for a `name` that nothing has."""
    return config.router.unknown_model == "route" or _CLOUD_MODEL.fullmatch(plain(name)) is not None


def decide_raw(model: str) -> Decision:
    """Straight to an upstream model, past every expert."""
    expert = Expert(id=-1, label=model, type="ollama", model_name=model)
    return Decision(expert=expert, stage="raw", confidence=1.0, model=model)


def _named(experts: Sequence[Expert]) -> dict[str, Expert]:
    """Labels win over aliases."""
    named = {plain(alias): expert for expert in experts for alias in expert.aliases}
    return named | {plain(expert.label): expert for expert in experts}
