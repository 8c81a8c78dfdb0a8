"""Which of several nodes should serve a request."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from .nodes import Node, NodeState

MAX_CONVERSATIONS = 4096
IN_FLIGHT_SLACK = 2


class Conversations:
    """Which node last served a conversation, so that its prompt cache is met again; the oldest are forgotten."""

    def __init__(self) -> None:
        self._nodes: OrderedDict[int, str] = OrderedDict()
        self._lock = threading.Lock()

    def node_of(self, key: int) -> str:
        return self._nodes.get(key, "")

    def remember(self, key: int, url: str) -> None:
        with self._lock:
            self._nodes[key] = url
            self._nodes.move_to_end(key)
            if len(self._nodes) > MAX_CONVERSATIONS:
                self._nodes.popitem(last=False)


def rank(nodes: Iterable[Node], model: str, *, home: str = "") -> list[Node]:
    """Nodes in the order to try: up, has the model, not in doubt, free now, loaded, the conversation's own, least in
    flight."""
    states = [(node, node.state) for node in nodes]
    least = min((node.in_flight for node, _ in states), default=0)

    def key(pair: tuple[Node, NodeState]) -> tuple[bool, ...] | tuple[bool | int, ...]:
        node, state = pair
        is_home = node.url == home and node.in_flight <= least + IN_FLIGHT_SLACK
        is_loaded = model in state.loaded
        return (not state.is_up, model not in state.models, node.is_doubted, not node.lane.is_free, not is_loaded,
                not is_home, node.in_flight)

    return [node for node, _ in sorted(states, key=key)]
