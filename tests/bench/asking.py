"""One way to route, asked prompt by prompt in a process of its own: a Job comes in as JSON, Answers go out.

Alone in its process each has one thread, no other's caches and a clock of its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from moe.config import Config, Settings, read_config
from moe.embed import Embedder, load_embedder
from moe.routing.vectors import VectorCache
from tests.bench.prompts import Answer
from tests.bench.rivals import (
    KEPT_ROWS,
    Ask,
    Encoder,
    Lessons,
    ask_centroids,
    ask_linear,
    ask_neighbours,
    ask_semantic_router,
    ask_words,
)

HYBRID, LEMOE, KEYWORD, SHIPPED = "hybrid", "lemoe", "keyword", "shipped"
SEMANTIC, NEIGHBOURS, CENTROIDS, LINEAR, WORDS = "semantic-router", "neighbours", "centroids", "linear", "words"
OURS = (HYBRID, LEMOE, KEYWORD)
TAUGHT: dict[str, Callable[[Lessons, Encoder], Ask]] = {
    SEMANTIC: ask_semantic_router, NEIGHBOURS: ask_neighbours, CENTROIDS: ask_centroids, LINEAR: ask_linear,
}
WARM_UP = "What is this about? Ein Satz, den niemand fragt."


class Job(Struct, frozen=True, kw_only=True):
    """`is_timed`: nothing that is asked may have been read before."""

    system: str
    experts: str
    settings: Settings
    texts: tuple[str, ...]
    is_timed: bool


class Report(Struct, frozen=True):
    """Answers in the order of the texts, with milliseconds on the clock and of the processor for each."""

    answers: list[Answer]
    ms: list[float]
    cpu_ms: list[float]


def open_system(job: Job) -> Ask:
    """Raises NotReady, RuntimeError, ConfigError."""
    config = read_config(job.settings.config_folder, experts_file=Path(job.experts))
    if job.system == HYBRID:
        return _ask_ours(config, job.settings)
    if job.system in (LEMOE, KEYWORD):
        return _ask_ours(_as_keywords(config), job.settings)
    if job.system == WORDS:
        return ask_words(Lessons.of(config))
    embedder = load_embedder(config.router.model_path, job.settings.models_folder)
    if embedder is None:
        raise RuntimeError("there is no encoder: run ./setup.sh")
    if job.system == SHIPPED:
        return _ask_shipped(_as_keywords(config), embedder)
    cache = VectorCache(job.settings.data_folder / "vectors", embedder, kind="query", kept_rows=KEPT_ROWS)
    return TAUGHT[job.system](Lessons.of(config), Encoder(embedder, cache, () if job.is_timed else job.texts))


def answer_all(ask: Ask, texts: tuple[str, ...]) -> Report:
    report = Report([], [], [])
    ask(WARM_UP)
    for text in texts:
        began, cpu = time.perf_counter(), time.process_time()
        answer = ask(text)
        report.cpu_ms.append((time.process_time() - cpu) * 1000)
        report.ms.append((time.perf_counter() - began) * 1000)
        report.answers.append(answer)
    return report


def _ask_ours(config: Config, settings: Settings) -> Ask:
    """The product's own router, as the server and `moe route --batch` build it."""
    from moe.build import load_router  # noqa: PLC0415
    from moe.core import ChatRequest, Message, Text  # noqa: PLC0415
    from moe.embed import Encoders  # noqa: PLC0415
    from moe.routing.heads import Heads  # noqa: PLC0415

    with closing(Heads()) as heads:
        router = load_router(config, settings, encoders=Encoders(settings.models_folder), heads=heads)
        heads.wait(lambda share, step: None)
    if router.note and config.router.model_path != "":
        raise RuntimeError(router.note)

    def ask(text: str) -> Answer:
        decision = router.decide(ChatRequest(messages=(Message("user", (Text(text),)),)))
        inside = 1 - decision.confidence if decision.expert.is_fallback else decision.confidence
        return Answer(decision.expert.label, decision.confidence, inside)

    return ask


def _ask_shipped(config: Config, embedder: Embedder) -> Ask:
    from tests.bench.lemoe import Formula  # noqa: PLC0415

    return Formula(config.experts, config.fallback.label, embedder)


def _as_keywords(config: Config) -> Config:
    """What knows no examples reads those of an expert without keywords as its keywords."""
    told = [replace(expert, keywords=tuple(example.text for example in config.examples.get(expert.label, ())))
            if not expert.keywords else expert for expert in config.experts]
    return replace(config, experts=tuple(told))


def main() -> None:
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job, dec_hook=lambda kind, value: kind(value))
    sys.stdout.buffer.write(msgspec.json.encode(answer_all(open_system(job), job.texts)))


if __name__ == "__main__":
    main()
