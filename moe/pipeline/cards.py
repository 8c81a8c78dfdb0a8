"""Everything that a client may ask for by its name, as cards: the router, the experts, the aliases, the models."""

from __future__ import annotations

import time
from typing import Any

from msgspec import structs

from ..aliases import Alias, Aliases, plain
from ..backends.catalog import Catalog
from ..backends.inventory import UpstreamModel
from ..backends.local import LocalModels
from ..config import Config
from ..config.rules import RESERVED
from ..experts import Expert
from ..replies import ModelCard
from ..routing.names import is_routed
from .lineup import Lineup
from .modes.known import MODES, Mode, find_mode
from .vectors import Vectors

CAPABILITIES = ("completion", "tools", "insert", "vision", "thinking")
_LISTED = {"virtual": ("virtual",), "experts": ("virtual", "expert", "alias"),
           "raw": ("virtual", "expert", "alias", "model")}


class Cards:
    """Of one configuration. What it makes up itself is as old as this object."""

    def __init__(
        self, config: Config, *, catalog: Catalog, local: LocalModels, lineup: Lineup, vectors: Vectors,
        aliases: Aliases,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._local = local
        self._lineup = lineup
        self._vectors = vectors
        self._aliases = aliases
        self._made = time.time()
        labels = {plain(expert.label): expert for expert in config.experts}
        self._experts = {plain(name): expert for expert in config.experts for name in expert.aliases} | labels

    def all(self) -> list[ModelCard]:
        """As far as the config wants them listed, each name once."""
        experts = [self.of(expert) for expert in self._config.experts]
        aliases = [alias for alias in self._aliases.entries() if self.find_alias(alias.name) is alias]
        named = {plain(alias.name) for alias in aliases}
        models = [card for card in self._models() if plain(card.name) not in named]
        router = self._router(experts)
        modes = (_in_mode(router, mode) for mode in MODES.values())
        cards = [router, *modes, *experts, *map(self._of_alias, aliases), *models]
        return [card for card in cards if card.kind in _LISTED[self._config.models.list]]

    def loaded(self) -> list[ModelCard]:
        """The models in memory, on the nodes and in this process."""
        return [*self._catalog.cards(only_loaded=True), *self._local.loaded()]

    def find(self, name: str) -> ModelCard | None:
        """The card for a client's name: any case, `:latest` implied, aliases too. A name that nothing has is the
        router's, where that answers to it."""
        alias = self.find_alias(name)
        if alias is not None:
            return self._of_alias(alias)
        self.seek(name)
        return self._find(name)

    def find_alias(self, name: str) -> Alias | None:
        """An expert added since under the name of an alias goes before it."""
        return None if self._is_own(name) else self._aliases.find(name)

    def seek(self, name: str) -> None:
        """Where nothing is known to have the `name`, the nodes are asked: somebody else may have pulled it."""
        is_ours = self._is_own(name) or self._vectors.is_encoder(name)
        if not (is_ours or self._catalog.find(name) or self._local.find(name)):
            self._catalog.seek(name)

    def of(self, expert: Expert) -> ModelCard:
        model = self._lineup.model(expert)
        known = self._describe(expert, model)
        local = known if isinstance(known, ModelCard) else ModelCard(name=model)
        guess = ("completion", "tools", "vision") if expert.vision else ("completion", "tools")
        return ModelCard(
            name=expert.label, kind="expert", description=_one_line(expert, model), system=expert.system_prompt,
            routes_to=model, model=model if expert.type == "ollama" else "", form=local.form, template=local.template,
            license=local.license, info=local.info, modified=self._made,
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

    def abilities(self, model: str) -> tuple[str, ...]:
        """What the model with this full name can do, in Ollama's words; () where nobody says."""
        known = self._local.card(model) or self._catalog.describe(model)
        return known.capabilities if known is not None else ()

    def page(self, card: ModelCard, asked: dict[str, Any]) -> dict[str, Any]:
        """What Ollama itself says of the model behind a card, {} for nothing; `asked` as for `Catalog.show`."""
        return self._catalog.show(card.model, asked) if card.model else {}

    def _find(self, name: str) -> ModelCard | None:
        """Of what is no alias; asks nobody."""
        expert = self._experts.get(plain(name))
        if expert is not None:
            return self.of(expert)
        if self._vectors.is_encoder(name):
            return self._vectors.card()
        is_own = self._is_own(name)
        found = None if is_own else self._catalog.find(name.strip()) or self._local.find(name)
        if found is not None:
            return next((card for card in self._models() if card.name == found), None)
        if is_own or is_routed(name, self._config):
            router = self._router([self.of(expert) for expert in self._config.experts])
            mode = find_mode(name)
            return router if mode is None else _in_mode(router, mode)
        return None

    def _is_own(self, name: str) -> bool:
        """Whether it is the router's or an expert's."""
        wanted = plain(name)
        return not wanted or wanted in RESERVED or wanted in self._experts

    def _router(self, experts: list[ModelCard]) -> ModelCard:
        """The router's own: it can what any expert or model can that it may pass a prompt to."""
        models = self._models()
        able = {capability for card in (*experts, *models) for capability in card.capabilities}
        led = ", ".join(f"{card.name} ({card.routes_to})" for card in experts if card.routes_to)
        return ModelCard(
            name="lemoe", kind="virtual", description="routes each prompt to the fitting expert",
            routes_to=led or "the expert that fits the prompt", modified=self._made,
            context_length=max((card.context_length for card in models), default=0),
            capabilities=tuple(capability for capability in CAPABILITIES if capability in able),
        )

    def _of_alias(self, alias: Alias) -> ModelCard:
        """The card of what it stands for, with what is its own. Whatever the file of the aliases says, that is never
        another alias: the file of a model may have the same name as the model."""
        base = self._find(alias.source) or ModelCard(name=alias.source)
        return structs.replace(
            base, name=alias.name, kind="alias", description=f"made here of {alias.source}", routes_to=alias.source,
            system=alias.system or base.system, parameters=base.parameters | alias.parameters,
            messages=tuple((turn.role, turn.content) for turn in alias.messages), modified=alias.created or self._made,
            license=alias.license or base.license, digest=alias.digest,
        )

    def _models(self) -> list[ModelCard]:
        """The encoder hides a node's model of its name: one space of vectors to a name, whoever is up."""
        own = self._vectors.card()
        here = [] if own is None or plain(own.name) in self._experts else [own]
        there = [card for card in self._catalog.cards() if not self._vectors.is_encoder(card.name)]
        return [*here, *there, *self._local.cards()]

    def _describe(self, expert: Expert, model: str) -> UpstreamModel | ModelCard | None:
        if expert.type == "local":
            return self._local.card_of(expert)
        if expert.type != "ollama" or not model:
            return None
        return self._local.card(model) or self._catalog.describe(model, self._catalog.nodes_of(expert))


def _in_mode(router: ModelCard, mode: Mode) -> ModelCard:
    """It leads where the router does; only how it answers is its own."""
    return structs.replace(router, name=mode.model, description=mode.description)


def _one_line(expert: Expert, model: str) -> str:
    return " ".join(expert.description.split()) or (f"answers with {model}" if model else "has no model yet")
