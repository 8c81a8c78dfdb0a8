"""What the client's `model` means: the router itself, an expert, a model upstream, or nothing known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from ..config.rules import RESERVED
from ..config.schema import Config
from ..core import Decision
from ..errors import ModelNotFound
from ..experts import Expert

_CLOUD_MODEL = re.compile(r"gpt-.*|claude-.*|o[0-9].*", re.DOTALL)


class Models(Protocol):
    """What routing must know of the models that exist; asked often, so it answers from memory."""

    def find(self, name: str) -> str | None:
        """The full name of the upstream model that `name` means, or None."""

    def loaded(self, capability: str = "completion") -> str | None:
        """A model that is in memory and can do this at once, in Ollama's word for it, or None."""

    def is_available(self, expert: Expert) -> bool:
        """Whether the expert can be expected to answer."""


class NoModels:
    """Nothing upstream is known and every expert is taken as available: for routing without a network."""

    def find(self, name: str) -> str | None:
        return None

    def loaded(self, capability: str = "completion") -> str | None:
        return None

    def is_available(self, expert: Expert) -> bool:
        return True


class Names:
    """Every name a client may ask for."""

    def __init__(self, config: Config, models: Models) -> None:
        self._experts = _named(config.experts)
        self._models = models
        self._routes_unknown = config.router.unknown_model == "route"

    def resolve(self, model: str) -> Decision | None:
        """The decision that the name alone settles; None if the router must choose. Raises ModelNotFound."""
        asked = model.strip()
        name = _plain(asked)
        expert = self._experts.get(name)
        if expert is not None:
            return Decision(expert=expert, stage="explicit", confidence=1.0)
        if not name or name in RESERVED:
            return None
        found = self._models.find(asked)
        if found is not None:
            return decide_raw(found)
        if self._routes_unknown or _CLOUD_MODEL.fullmatch(name):
            return None
        raise ModelNotFound(model)


def decide_raw(model: str) -> Decision:
    """Straight to an upstream model, past every expert."""
    expert = Expert(id=-1, label=model, type="ollama", model_name=model)
    return Decision(expert=expert, stage="raw", confidence=1.0, model=model)


def _named(experts: Sequence[Expert]) -> dict[str, Expert]:
    """Labels win over aliases."""
    named = {_plain(alias): expert for expert in experts for alias in expert.aliases}
    return named | {_plain(expert.label): expert for expert in experts}


def _plain(name: str) -> str:
    """A name as it is compared: Ollama's clients add ":latest" to what has no tag."""
    return name.strip().casefold().removesuffix(":latest")
