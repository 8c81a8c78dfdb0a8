"""The line from a request to an answer; read this file first.

    router  who should answer, and how sure      -> Decision
    dispatch  the expert, or whoever stands in   -> chunks
    settle  counts what was said
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..backends.catalog import Catalog
from ..backends.local import LocalModels
from ..backends.nodes import UpstreamModel
from ..config import Config
from ..config.rules import RESERVED
from ..core import Answer, ChatRequest, Decision, Expert, ModelCard
from ..errors import BadRequest
from ..metrics import Statistics
from .dispatch import Dispatcher
from .lineup import Lineup
from .settle import settle


class Decider(Protocol):
    """The router, as the line sees it."""

    @property
    def mode(self) -> str: ...

    note: str

    def decide(self, request: ChatRequest) -> Decision: ...


class Gateway:
    """Everything one configuration needs to answer; made by `build.py`, replaced whole on reload."""

    def __init__(
        self,
        config: Config,
        router: Decider,
        *,
        dispatcher: Dispatcher,
        lineup: Lineup,
        catalog: Catalog,
        local: LocalModels,
        statistics: Statistics,
        retire: Callable[[], None],
    ) -> None:
        """`retire` frees what only new requests would need; answers under way keep what they use."""
        self.config = config
        self.router = router
        self.catalog = catalog
        self._local = local
        self._dispatcher = dispatcher
        self._lineup = lineup
        self._statistics = statistics
        self.retire = retire

    def answer(self, request: ChatRequest, *, request_id: str) -> Answer:
        """Decides at once; the chunks are made as they are taken. Raises RequestError."""
        decision = self.router.decide(request)
        chunks = self._dispatcher.run(request, decision, request_id=request_id)
        settled = settle(chunks, request, decision, statistics=self._statistics, request_id=request_id)
        return Answer(decision, settled)

    def route(self, request: ChatRequest) -> dict[str, Any]:
        """What `answer` would decide, calling no model, in the form of /v1/route."""
        if not request.user_texts and not request.has_image and not request.model:
            raise BadRequest("there is no text to route", param="text")
        decision = self.router.decide(request)
        return {
            "expert": decision.expert.label,
            "model": decision.model or self._lineup.model(decision.expert) or None,
            "stage": decision.stage,
            "confidence": round(decision.confidence, 4),
            "scores": {
                label: {name: round(value, 4) for name, value in signals.items()}
                for label, signals in decision.scores.items()
            },
            "elapsed_ms": round(decision.elapsed_ms, 3),
        }

    def cards(self) -> list[ModelCard]:
        """Every name a client may ask for: the router itself, the experts, the upstream models."""
        virtual = ModelCard(
            name="lemoe", kind="virtual", description="routes each prompt to the fitting expert",
            routes_to="the expert that fits the prompt", capabilities=("completion", "tools", "vision"),
            context_length=self._longest_context(),
        )
        return [virtual, *(self.card(expert) for expert in self.config.experts), *self._models()]

    def find_card(self, name: str) -> ModelCard | None:
        """The card for a client's name: any case, `:latest` implied, aliases too."""
        wanted = name.strip().casefold().removesuffix(":latest")
        if not wanted or wanted in RESERVED:
            return self.cards()[0]
        for expert in self.config.experts:
            if wanted in (expert.label.casefold(), *(alias.casefold() for alias in expert.aliases)):
                return self.card(expert)
        found = self.catalog.find(name.strip()) or self._local.find(name)
        return next((card for card in self._models() if card.name == found), None) if found else None

    def loaded_cards(self) -> list[ModelCard]:
        """The models in memory, on the nodes and in this process."""
        return [*self.catalog.cards(only_loaded=True), *self._local.loaded()]

    def _models(self) -> list[ModelCard]:
        return [*self.catalog.cards(), *self._local.cards()]

    def card(self, expert: Expert) -> ModelCard:
        model = self._lineup.model(expert)
        known = self._describe(expert, model)
        return ModelCard(
            name=expert.label, kind="expert", description=expert.description, system=expert.system_prompt,
            routes_to=model,
            size=known.size if known else 0,
            digest=known.digest if known else "",
            family=known.family if known else "",
            parameter_size=known.parameter_size if known else "",
            quantization=known.quantization if known else "",
            context_length=known.context_length if known else 0,
            capabilities=known.capabilities if known and known.capabilities else ("completion",),
        )

    def _describe(self, expert: Expert, model: str) -> UpstreamModel | ModelCard | None:
        if expert.type == "local":
            return self._local.card_of(expert)
        if expert.type != "ollama" or not model:
            return None
        return self._local.card(model) or self.catalog.describe(model, self.catalog.nodes_of(expert))

    def health(self) -> dict[str, Any]:
        """What is up and who is served by what; asks nobody anything now."""
        experts = {expert.label: self._expert_health(expert) for expert in self.config.experts}
        nodes = {
            node.url: {"up": state.is_up, "models": len(state.models), "loaded": sorted(state.loaded),
                       "in_flight": node.in_flight, **({"error": state.error} if state.error else {})}
            for node in self.catalog.all_nodes()
            for state in (node.last_state,)
        }
        is_ok = all(row["available"] and row["breaker"] == "closed" for row in experts.values())
        return {
            "status": "ok" if is_ok else "degraded",
            "router": {"mode": self.router.mode, "note": self.router.note},
            "experts": experts,
            "nodes": nodes,
        }

    def _expert_health(self, expert: Expert) -> dict[str, Any]:
        return self._lineup.health(expert) | {"breaker": self._lineup.breaker(expert.label).state}

    def _longest_context(self) -> int:
        return max((card.context_length for card in self._models()), default=0)
