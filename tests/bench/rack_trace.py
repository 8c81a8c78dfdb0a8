"""A rack of nodes, the models on it, and who asks for what and when: the same for every rule that is compared."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

GB = 10**9
SWITCH_S = 0.05
PROMPT_TOKENS_PER_S = 1200.0
MOST_TOKENS_PER_S = 90.0
OFFLOADED = 0.1
ZIPF = 1.0
# Names as people give them: some say their size, some say another, one says none.
MODELS = {
    "qwen2.5:7b": 5, "llama3.1:8b": 6, "gemma3:12b": 8, "phi4:14b": 9, "mistral-small:24b": 14, "gemma3:27b": 17,
    "qwen3:30b-a3b": 19, "qwq:32b": 20, "mixtral:8x7b": 26, "llama3.3:70b": 43, "qwen2.5:72b": 47, "command-a": 67,
    "mixtral:8x22b": 80, "qwen3:235b-a22b": 130,
}


class Machine(NamedTuple):
    """One node: its memory in bytes, how many requests it serves at a time, how many bytes a second it reads from its
    disk and from its memory."""

    name: str
    vram: int
    places: int
    disk: float
    bandwidth: float
    gpus: int

    def load_s(self, size: int) -> float:
        return size / self.disk

    def prompt_s(self, tokens: int, size: int) -> float:
        return SWITCH_S + tokens / PROMPT_TOKENS_PER_S * self._slowness(size)

    def answer_s(self, tokens: int, size: int) -> float:
        return tokens / self.tokens_per_s(size)

    def tokens_per_s(self, size: int) -> float:
        """Each token reads the whole model once; one that does not fit is computed by the processor in part."""
        return min(MOST_TOKENS_PER_S, self.bandwidth / size) / self._slowness(size)

    def _slowness(self, size: int) -> float:
        return 1 / OFFLOADED if size > self.vram else 1.0


RACK = (
    Machine("old", 60 * GB, 5, 0.8e9, 240e9, 5),
    Machine("small-1", 32 * GB, 2, 1.5e9, 900e9, 1),
    Machine("small-2", 32 * GB, 2, 1.5e9, 900e9, 1),
    Machine("large-1", 96 * GB, 4, 1.5e9, 900e9, 4),
    Machine("large-2", 96 * GB, 4, 1.5e9, 900e9, 4),
    Machine("huge", 168 * GB, 7, 1.5e9, 1200e9, 7),
)


class Ask(NamedTuple):
    """One request; `history` tokens of its prompt were in the conversation's last one already."""

    at_s: float
    model: str
    conversation: int
    user: int
    history: int
    prompt: int
    tokens: int


class Load(NamedTuple):
    """What is asked in `seconds`: conversations and bursts begin so many times a second."""

    seconds: float
    conversations_per_s: float
    bursts_per_s: float
    pause_s: float
    users: int = 40
    tokens: float = 200.0


def make_trace(models: Sequence[str], load: Load, *, seed: int) -> list[Ask]:
    """Models by Zipf's law in an order of the seed's own; conversations of one to six turns, and bursts of six to
    twelve requests for one model within three seconds."""
    chance = random.Random(seed)
    order = chance.sample(list(models), len(models))
    weights = [1 / (place + 1) ** ZIPF for place in range(len(order))]
    asks: list[Ask] = []
    conversation = 0

    def pick() -> str:
        return chance.choices(order, weights)[0]

    def tokens() -> int:
        return max(10, int(chance.lognormvariate(0, 0.6) * load.tokens))

    at = 0.0
    while (at := at + chance.expovariate(load.conversations_per_s)) < load.seconds:
        conversation += 1
        model, user, when, history = pick(), chance.randrange(load.users), at, 0
        for _ in range(chance.randint(1, 6)):
            prompt, answer = chance.randint(50, 800), tokens()
            asks.append(Ask(when, model, conversation, user, history, history + prompt, answer))
            history += prompt + answer
            when += load.pause_s * (0.5 + chance.expovariate(2.0))
    at = 0.0
    while (at := at + chance.expovariate(load.bursts_per_s)) < load.seconds:
        model, user = pick(), chance.randrange(load.users)
        for _ in range(chance.randint(6, 12)):
            conversation += 1
            when = at + chance.uniform(0, 3)
            asks.append(Ask(when, model, conversation, user, 0, chance.randint(50, 800), tokens()))
    return sorted(ask for ask in asks if ask.at_s < load.seconds)
