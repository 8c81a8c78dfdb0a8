"""What the Ollama nodes have, all together: finds names, lists models, and settles every "auto" expert."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct

from .. import net
from ..aliases import shorten
from ..errors import BackendError
from ..experts import Expert, Tier
from ..replies import ModelCard
from .choice import Room, choose, rank_tier
from .inventory import UpstreamModel, card, find_name
from .nodes import Node, NodeState

MEMORY_SHARE = 0.8
SHOW_TIMEOUT_S = 10.0
Group = tuple[str, ...]
States = tuple[NodeState, ...]


class _Settled(Struct):
    """What "auto" means while the nodes' states stay as they are: for each expert by its label, and for its tiers."""

    states: States
    chosen: dict[str, str]
    tiers: dict[tuple[str, Tier], tuple[str, ...]] = {}


class Catalog:
    """The nodes and who uses which; thread-safe.

    `default` are the URLs that serve every Ollama expert without its own.
    """

    def __init__(self, nodes: dict[str, Node], experts: Iterable[Expert], *, default: Group) -> None:
        self._nodes = nodes
        self._default = default
        self._experts = tuple(experts)
        self._lock = threading.Lock()
        self._settled: dict[Group, _Settled] = {}

    def group_of(self, expert: Expert) -> Group:
        return expert.urls or ((expert.url,) if expert.url else self._default)

    def nodes_of(self, expert: Expert) -> list[Node]:
        return [self._nodes[url] for url in self.group_of(expert)]

    def all_nodes(self) -> list[Node]:
        return list(self._nodes.values())

    def place_of(self, expert: Expert, model: str) -> Group:
        """The nodes that a request of this expert for `model` may go to: those that are known to have it, else all
        that it uses. A model called by its own name may be on any."""
        nodes = self.all_nodes() if expert.id < 0 else self.nodes_of(expert)
        holders = [node for node in nodes if model in node.last_state.models]
        return tuple(node.url for node in holders or nodes)

    def model_for(self, expert: Expert, *, fresh: bool = True) -> str:
        """The upstream model that serves `expert`, "" when no node has a fitting one.

        With `fresh` an unknown or failed node is asked first, which may take its connect timeout.
        """
        group = self.group_of(expert)
        states = self._states(group, fresh=fresh)
        name = expert.model_name
        if name != "auto":
            return find_name(name, [state.models for state in states]) or name
        return self._settle(group, states).chosen.get(expert.label, "")

    def models_for(self, expert: Expert, tier: Tier, *, fresh: bool = False) -> tuple[str, ...]:
        """The upstream models of this tier that could serve `expert`, the preferred one first; () for none."""
        group = self.group_of(expert)
        states = self._states(group, fresh=fresh)
        settled = self._settle(group, states)
        known = settled.tiers.get((expert.label, tier))
        if known is None:
            known = settled.tiers[expert.label, tier] = rank_tier(
                expert, tier, _live_models(states).values(), chosen=settled.chosen, loaded=_loaded(states),
                room=self._measure_room(group, states))
        return known

    def find_named(self, expert: Expert, name: str, *, fresh: bool = False) -> str:
        """The upstream's spelling of a model that `expert` names; "" where it is known that no node has it: those that
        are up lack it, and none is still to be asked."""
        states = self._states(self.group_of(expert), fresh=fresh)
        is_told = any(state.is_up for state in states) and all(state.is_known for state in states)
        found = find_name(name, [state.models for state in states if state.is_up or not is_told])
        return found or ("" if is_told else name)

    def find(self, name: str) -> str | None:
        """The exact upstream name that a client's `name` means, or None."""
        held = [node.state.models for node in self._nodes.values()]
        return find_name(name, held) or find_name(shorten(name), held)

    def seek(self, name: str) -> None:
        """Asks the nodes once more for what `find` does not find, though not with each request."""
        if self.find(name) is None:
            for node in self._nodes.values():
                node.seek()

    def node(self, named: str) -> Node | None:
        """The node that `named` means: by its name or its URL in any spelling, or as an expert's first; "" is the
        default's first."""
        called = next((node for node in self._nodes.values() if named and node.name == named), None)
        if called is not None:
            return called
        own = next((expert for expert in self._experts if expert.label == named), None)
        group = self.group_of(own) if own is not None else (net.spell_url(named),) if named else self._default
        return next((self._nodes[url] for url in group if url in self._nodes), None)

    def holders(self, name: str) -> dict[str, Node]:
        """The nodes that are up and have the model `name` means, each by its URL; `find` gives its full name."""
        found = self.find(name)
        held = ((node, node.state) for node in self._nodes.values())
        return {node.url: node for node, state in held if state.is_up and found in state.models}

    def show(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        """What a node's own /api/show says of the model with this full name, {} when none tells. `asked` are further
        fields of the request: then a node is asked now."""
        known: dict[str, Any] = {}
        for node in self._nodes.values():
            model = node.last_state.models.get(name)
            if model is None:
                continue
            known = known or model.page
            if not asked:
                return known
            body = msgspec.json.encode({**asked, "model": name})
            with suppress(BackendError):  # then it is the usual page
                page = node.transport.fetch("POST", "/api/show", body, timeout_s=SHOW_TIMEOUT_S)
                return page if isinstance(page, dict) else known
        return known

    def describe(self, name: str, nodes: Sequence[Node] | None = None) -> UpstreamModel | None:
        for node in self.all_nodes() if nodes is None else nodes:
            model = node.last_state.models.get(name)
            if model is not None:
                return model
        return None

    def loaded(self, capability: str = "completion") -> str | None:
        """A model in memory that can chat, is known to have this capability beside, and is not run in a cloud: the
        largest one."""
        states = [node.state for node in self._nodes.values()]
        found = [
            (held.size, name)
            for state in states
            for name, held in state.loaded.items()
            if (model := state.models.get(name)) is not None and model.can_chat and not model.is_remote
            and (capability == "completion" or capability in model.capabilities)
        ]
        return max(found)[1] if found else None

    def stand_ins(self) -> list[str]:
        """Every local model that can chat, loaded ones first: the last resort before giving up."""
        seen: dict[str, bool] = {}
        for node in self._nodes.values():
            state = node.state
            for name, model in state.models.items():
                if state.is_up and model.can_chat and not model.is_remote:
                    seen[name] = seen.get(name, False) or name in state.loaded
        return sorted(seen, key=lambda name: not seen[name])

    def cards(self, *, only_loaded: bool = False) -> list[ModelCard]:
        """The upstream models, each once; `only_loaded` = those in some node's memory."""
        cards: dict[str, ModelCard] = {}
        for node in self._nodes.values():
            state = node.settled_state if only_loaded else node.last_state
            for name, model in state.models.items():
                held = state.loaded.get(name)
                if held is not None or not only_loaded:
                    cards.setdefault(name, card(model, held if only_loaded else None))
        return list(cards.values())

    def _states(self, group: Group, *, fresh: bool) -> States:
        return tuple(self._nodes[url].state if fresh else self._nodes[url].last_state for url in group)

    def _settle(self, group: Group, states: States) -> _Settled:
        known = self._settled.get(group)
        if known is None or known.states != states:
            with self._lock:
                known = self._settled[group] = _Settled(states, self._choose(group, states))
        known.states = states  # the same ones are compared at once
        return known

    def _choose(self, group: Group, states: States) -> dict[str, str]:
        experts = [e for e in self._experts if e.model_name == "auto" and self.group_of(e) == group]
        return choose(experts, _live_models(states).values(), loaded=_loaded(states),
                      room=self._measure_room(group, states))

    def _measure_room(self, group: Group, states: States) -> Room:
        """What the models of a group may take, in bytes: the config says it of each node.

        Else it has to be guessed, as Ollama does not tell its memory. On this machine it is read from the system;
        elsewhere the largest model that was pulled is the best evidence of what fits.
        """
        nodes = [self._nodes[url] for url in group]
        told = [node.vram for node in nodes if node.vram is not None]
        if told and len(told) == len(nodes):
            return Room(together=sum(told), at_most=max(told))
        if all(net.is_loopback(net.split_base(node.url).hostname or "") for node in nodes):
            guess = int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * MEMORY_SHARE)
        else:
            guess = max((model.size for model in _live_models(states).values()), default=0)
        return Room(together=guess, at_most=guess)


def _live_models(states: States) -> dict[str, UpstreamModel]:
    """Of the nodes that are up; where none is, of all."""
    live = [state for state in states if state.is_up] or states
    return {name: model for state in live for name, model in state.models.items()}


def _loaded(states: States) -> frozenset[str]:
    return frozenset(name for state in states for name in state.loaded)
