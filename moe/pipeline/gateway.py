"""The line from a request to an answer; read this file first.

    router  who should answer, and how sure      -> Decision
    dispatch  the expert, or whoever stands in   -> chunks
    settle  counts what was said
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from msgspec import structs

from ..aliases import Alias, plain
from ..backends.base import Counting
from ..backends.catalog import Catalog
from ..backends.inventory import UpstreamModel
from ..backends.local import LocalModels
from ..backends.manage import Manager
from ..config import Config
from ..config.rules import RESERVED
from ..core import Answer, ChatRequest, Decision
from ..errors import BadRequest
from ..experts import Expert
from ..metrics import Statistics
from ..replies import ModelCard
from ..routing.heads import tell_guesses
from ..routing.ranking import find_doubt, is_tie, rank
from .attachments import Attachments, unwatched
from .dispatch import Dispatcher
from .footer import may_have_footer, sign, unsign
from .form import Forms
from .lineup import Lineup, prepare
from .personas import take_on
from .settle import settle
from .vectors import Vectors

CAPABILITIES = ("completion", "tools", "insert", "vision", "thinking")


_LISTED = {"virtual": ("virtual",), "experts": ("virtual", "expert", "alias"),
           "raw": ("virtual", "expert", "alias", "model")}


class Decider(Protocol):
    """The router, as the line sees it."""

    @property
    def mode(self) -> str: ...

    note: str
    is_faulty: bool

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
        manager: Manager,
        vectors: Vectors,
        statistics: Statistics,
        retire: Callable[[], None],
    ) -> None:
        """`retire` frees what only new requests would need; answers under way keep what they use."""
        self.config = config
        self.router = router
        self.catalog = catalog
        self.manager = manager
        self.vectors = vectors
        self._local = local
        self._dispatcher = dispatcher
        self._lineup = lineup
        self._statistics = statistics
        self._forms = Forms()
        self._attachments = Attachments(config)
        self.retire = retire

    def answer(
        self, request: ChatRequest, *, request_id: str, client: str = "", watch: Callable[[], None] = unwatched
    ) -> Answer:
        """Decides at once; the chunks are made as they are taken. Where requests have to wait, each `client` has its
        turn; `watch` is called while files are read, and what it raises ends that. Raises RequestError."""
        request = structs.replace(self._unfold(request), client=client)
        form = self._forms.read(request)
        request = self._attachments.take_in(request, watch=watch)
        decision = self.router.decide(request)
        has_footer = self.config.response.footer and may_have_footer(request)
        if has_footer:
            request = unsign(request)
        chunks = self._dispatcher.run(request, decision, request_id=request_id, form=form)
        settled = settle(chunks, request, decision, statistics=self._statistics, request_id=request_id)
        return Answer(decision, sign(settled) if has_footer else settled)

    def measure(self, request: ChatRequest) -> tuple[ChatRequest, int | None]:
        """`request` as the model that would answer gets it, and its exact length in tokens, None where nobody can say.
        Calls no model. Raises RequestError."""
        request = self._attachments.take_in(self._unfold(request))
        decision = self.router.decide(request)
        chosen = next(self._lineup.candidates(decision))
        prepared = prepare(request, chosen.expert, chosen.model)
        return prepared, chosen.backend.count_tokens(prepared) if isinstance(chosen.backend, Counting) else None

    def route(self, request: ChatRequest) -> dict[str, Any]:
        """What `answer` would decide, calling no model, in the form of /v1/route."""
        if not request.user_texts and not request.has_image and not request.model:
            raise BadRequest("there is no text to route", param="text")
        request = self._unfold(request)
        decision = self.router.decide(request)
        doubt = find_doubt(decision)
        return {
            "expert": decision.expert.label,
            "model": decision.model or self._lineup.model(decision.expert) or None,
            "stage": decision.stage,
            "confidence": round(decision.confidence, 4),
            "none_fits": None if doubt is None else round(doubt, 4),
            "near_tie": is_tie(rank(decision)),
            "scores": {
                label: {name: round(value, 4) for name, value in signals.items()}
                for label, signals in decision.scores.items()
            },
            "elapsed_ms": round(decision.elapsed_ms, 3),
        }

    def _unfold(self, request: ChatRequest) -> ChatRequest:
        """What a request to an alias means to whom it stands for. Raises BadRequest for one that cannot chat."""
        alias = self._find_alias(request.model)
        if self.vectors.is_encoder(request.model if alias is None else alias.source):
            raise BadRequest(f'"{request.model}" does not support chat', param="model")
        return request if alias is None else take_on(request, alias)

    def _find_alias(self, name: str) -> Alias | None:
        """An expert added since under the name of an alias goes before it."""
        alias = self.manager.aliases.find(name)
        return None if alias is None or self._find_expert(name) else alias

    def cards(self) -> list[ModelCard]:
        """The names a client may ask for: the router itself, the experts, the aliases, the upstream models; as far as
        the config wants them listed."""
        experts = [self.card(expert) for expert in self.config.experts]
        aliases = [self._alias_card(alias) for alias in self.manager.aliases.entries()
                   if self._find_expert(alias.name) is None]
        cards = [self._virtual_card(experts), *experts, *aliases, *self._models()]
        return [card for card in cards if card.kind in _LISTED[self.config.models.list]]

    def _virtual_card(self, experts: list[ModelCard]) -> ModelCard:
        """The router's own: it can what any expert or model can that it may pass a prompt to."""
        able = {capability for card in (*experts, *self._models()) for capability in card.capabilities}
        led = ", ".join(f"{card.name} ({card.routes_to})" for card in experts if card.routes_to)
        return ModelCard(
            name="lemoe", kind="virtual", description="routes each prompt to the fitting expert",
            routes_to=led or "the expert that fits the prompt", context_length=self._longest_context(),
            capabilities=tuple(capability for capability in CAPABILITIES if capability in able),
        )

    def find_card(self, name: str) -> ModelCard | None:
        """The card for a client's name: any case, `:latest` implied, aliases too."""
        wanted = name.strip().casefold().removesuffix(":latest")
        if not wanted or wanted in RESERVED:
            experts = [self.card(expert) for expert in self.config.experts]
            return self._virtual_card(experts)
        expert = self._find_expert(name)
        if expert is not None:
            return self.card(expert)
        alias = self._find_alias(name)
        if alias is not None:
            return self._alias_card(alias)
        if self.vectors.is_encoder(name):
            return self.vectors.card()
        found = self.catalog.find(name.strip()) or self._local.find(name)
        return next((card for card in self._models() if card.name == found), None) if found else None

    def _find_expert(self, name: str) -> Expert | None:
        wanted = plain(name)
        return next((expert for expert in self.config.experts
                     if wanted in (plain(expert.label), *map(plain, expert.aliases))), None)

    def _alias_card(self, alias: Alias) -> ModelCard:
        """The card of what it stands for, with what is its own."""
        base = self.find_card(alias.source) or ModelCard(name=alias.source)
        return structs.replace(
            base, name=alias.name, kind="alias", description=f"made here of {alias.source}", routes_to=alias.source,
            system=alias.system or base.system, parameters=base.parameters | alias.parameters,
            messages=tuple((turn.role, turn.content) for turn in alias.messages), modified=alias.created,
            license=alias.license or base.license, digest=alias.digest,
        )

    def page(self, card: ModelCard, asked: dict[str, Any]) -> dict[str, Any]:
        """What Ollama itself says of the model behind a card, {} for nothing; `asked` as for `Catalog.show`."""
        return self.catalog.show(card.model, asked) if card.model else {}

    def loaded_cards(self) -> list[ModelCard]:
        """The models in memory, on the nodes and in this process."""
        return [*self.catalog.cards(only_loaded=True), *self._local.loaded()]

    def _models(self) -> list[ModelCard]:
        """The encoder hides a node's model of its name: one space of vectors to a name, whoever is up."""
        own = self.vectors.card()
        here = [] if own is None or self._find_expert(own.name) is not None else [own]
        there = [card for card in self.catalog.cards() if not self.vectors.is_encoder(card.name)]
        return [*here, *there, *self._local.cards()]

    def card(self, expert: Expert) -> ModelCard:
        model = self._lineup.model(expert)
        known = self._describe(expert, model)
        local = known if isinstance(known, ModelCard) else ModelCard(name=model)
        guess = ("completion", "tools", "vision") if expert.vision else ("completion", "tools")
        return ModelCard(
            name=expert.label, kind="expert", description=_one_line(expert, model), system=expert.system_prompt,
            routes_to=model, model=model if expert.type == "ollama" else "", form=local.form, template=local.template,
            license=local.license, info=local.info,
            parameters={name: value for name, value in expert.options.items() if value is not None},
            size=known.size if known else 0,
            digest=known.digest if known else "",
            family=known.family if known else "",
            parameter_size=known.parameter_size if known else "",
            quantization=known.quantization if known else "",
            context_length=known.context_length if known else 0,
            capabilities=known.capabilities if known and known.capabilities
            else guess if expert.type == "api" else ("completion",),
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
        are_up = all(row["available"] and row["breaker"] == "closed" for row in experts.values())
        return {
            "status": "ok" if are_up and not self.router.is_faulty else "degraded",
            "router": {"mode": self.router.mode, "note": self._note()},
            "experts": experts,
            "nodes": nodes,
        }

    def _note(self) -> str:
        guesses = tell_guesses(self.config) if self.router.mode == "embedding" else ""
        return "; ".join(filter(None, (self.router.note, guesses)))

    def _expert_health(self, expert: Expert) -> dict[str, Any]:
        return self._lineup.health(expert) | {"breaker": self._lineup.breaker(expert.label).state}

    def _longest_context(self) -> int:
        return max((card.context_length for card in self._models()), default=0)


def _one_line(expert: Expert, model: str) -> str:
    return " ".join(expert.description.split()) or (f"answers with {model}" if model else "has no model yet")
