"""What the routing tests share: small configs, requests, models, and an encoder that counts words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from moe.config.schema import (
    Config,
    EngineConfig,
    MemoryConfig,
    RateLimitConfig,
    RouterConfig,
    RunnerConfig,
    ServerConfig,
)
from moe.core import ChatRequest, Image, Message, Text
from moe.embed import Kind, Rows
from moe.experts import Expert
from moe.routing import Models, NoModels, Router, build_router

FALLBACK = Expert(id=0, label="fallback")
CODER = Expert(id=1, label="coder", aliases=("Dev",), description="writing and debugging programs",
               keywords=("python", "ruby on rails", "unit test", "null pointer exception", "code"))
DOCTOR = Expert(id=2, label="doctor", description="illness and medicine",
                keywords=("fever", "headache", "blood pressure", "medicine"))
CHEF = Expert(id=3, label="chef", description="cooking meals", keywords=("recipe", "soup", "oven temperature"))
EYES = Expert(id=4, label="eyes", description="pictures", keywords=("photo",), vision=True, routable=False)
TEAM = (FALLBACK, CODER, DOCTOR, CHEF, EYES)


class WordEmbedder:
    """A text's vector is the words in it, each an axis of its own; `seen` holds every text it was asked for."""

    name = "words"
    dimension = 512

    def __init__(self, fingerprint: str = "words-1") -> None:
        self.fingerprint = fingerprint
        self.seen: list[tuple[Kind, str]] = []

    def embed(self, texts: Sequence[str], *, kind: Kind) -> Rows:
        self.seen += [(kind, text) for text in texts]
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                row[int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % self.dimension] = 1
            row /= np.linalg.norm(row) or 1
        return rows


class FewModels(NoModels):
    """Upstream models by name; `asleep` are the labels that cannot answer."""

    def __init__(self, *names: str, loaded: str | None = None, asleep: Sequence[str] = ()) -> None:
        self.names, self.in_memory, self.asleep = names, loaded, asleep

    def find(self, name: str) -> str | None:
        return next((known for known in self.names if known in (name, f"{name}:latest")), None)

    def loaded(self, capability: str = "completion") -> str | None:
        return self.in_memory

    def is_available(self, expert: Expert) -> bool:
        return expert.label not in self.asleep


def make_config(*experts: Expert, **router: Any) -> Config:
    # The few words of these experts make shares of their own; the tests are written for this threshold.
    return Config(router=RouterConfig(**{"confidence_threshold": 0.4, **router}), ai_engine=EngineConfig(),
                  memory=MemoryConfig(), expert_runner=RunnerConfig(), server=ServerConfig(),
                  rate_limit=RateLimitConfig(), log_prompts=False,
                  experts=experts or TEAM, folder=Path("config"), files=())


def make_router(tmp_path: Path, *experts: Expert, models: Models | None = None, by_keywords: bool = False,
                **router: Any) -> Router:
    config = make_config(*experts, **router)
    embedder = None if by_keywords else WordEmbedder()
    return build_router(config, models=models or NoModels(), embedder=embedder, cache_folder=tmp_path / "vectors")


def ask(*texts: str, model: str = "lemoe") -> ChatRequest:
    """A conversation whose user turns are `texts`, with an answer after each but the last."""
    turns: list[Message] = []
    for text in texts:
        turns += [Message("user", (Text(text),)), Message("assistant", (Text("Certainly."),))]
    return ChatRequest(model=model, messages=tuple(turns[:-1]))


def show(text: str = "what is this?") -> Message:
    return Message("user", (Text(text), Image("aGk=")))
