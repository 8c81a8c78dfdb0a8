"""Config -> Gateway: the only place that names every concrete part and wires one to the other."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Executor, ThreadPoolExecutor

from .backends.absent import Absent
from .backends.api import Api
from .backends.base import Backend
from .backends.builtin import Builtin
from .backends.catalog import Catalog
from .backends.echo import Echo
from .backends.engine import Engine
from .backends.gguf import Gguf, is_gguf
from .backends.local import ByName, LocalModels
from .backends.location import is_missing
from .backends.manage import Manager
from .backends.nodes import Node
from .backends.ollama import Ollama
from .backends.onnx.backend import Onnx
from .backends.preference import Conversations
from .backends.queues import Queues
from .backends.resident import Resident
from .backends.shelf import Shelf
from .backends.stock import Stock
from .config import Config, Settings
from .embed import Embedder, Encoders, OpenAiTokens
from .errors import NotReady
from .experts import Expert
from .metrics import Statistics
from .pipeline.breaker import Breaker
from .pipeline.callers import CallerMemory
from .pipeline.dispatch import Dispatcher
from .pipeline.gateway import Gateway
from .pipeline.lineup import Lineup
from .pipeline.staff import Staff
from .pipeline.standing import Standing
from .pipeline.vectors import Vectors
from .routing.classifier import ClassifierStage, load_stage
from .routing.heads import Heads, make_task
from .routing.names import NoModels
from .routing.router import NO_ENCODER, Router, build_router
from .tools.base import LawBook, Setting, Solver
from .tools.known import open_toolkit
from .upstreams import Address, Upstreams, check_addresses, default_group

log = logging.getLogger("moe.build")

REFRESHERS = 4


def build_gateway(
    config: Config,
    settings: Settings,
    *,
    engine: Engine,
    encoders: Encoders,
    heads: Heads,
    shelf: Shelf,
    statistics: Statistics,
    stock: Stock | None = None,
    queues: Queues | None = None,
    callers: CallerMemory | None = None,
    solver: Solver | None = None,
    laws: LawBook | None = None,
    standing: Standing | None = None,
    own: Address | None = None,
) -> Gateway:
    """Every part for one config. `own` is the address this server listens on: an upstream there is a ConfigError.

    `engine`, `encoders`, `heads`, `shelf`, `stock`, `queues`, `callers`, `solver`, `laws` and `standing` outlive the
    gateway: what they hold serves the next one too.
    """
    tools = open_toolkit(Setting(solver=solver, laws=laws), disabled=config.tools.disabled)
    executor = ThreadPoolExecutor(REFRESHERS, thread_name_prefix="nodes")
    queues = queues or Queues()
    upstreams = _find_upstreams(config, settings, executor, shelf=shelf, queues=queues, own=own)
    catalog = upstreams.catalog
    lineup = _build_lineup(config, settings, upstreams, engine=engine, shelf=shelf, queues=queues)
    dispatcher = Dispatcher(
        lineup, config.expert_runner, on_failure=lambda label, model: statistics.record_failure(f"{label} {model}"),
        advice=upstreams.advise, logs_words=config.log_prompts or config.privacy.keep_text,
    )
    router = load_router(config, settings, encoders=encoders, heads=heads, models=upstreams)
    for node in catalog.all_nodes():
        node.refresh()
    if any(expert.type == "api" for expert in config.experts):
        executor.submit(engine.load)  # takes seconds, which the first prompt should not wait for
    stock = stock or Stock.open(settings)
    vectors = Vectors(config, encoders, OpenAiTokens(settings.models_folder), catalog=catalog,
                      local=upstreams.local, lineup=lineup, aliases=stock.aliases)
    manager = Manager(config, catalog, upstreams.local, stock, further=vectors.names())
    return Gateway(
        config, router, dispatcher=dispatcher, lineup=lineup, catalog=catalog, local=upstreams.local, manager=manager,
        vectors=vectors, statistics=statistics, tools=tools, standing=standing,
        staff=Staff(config, lineup, upstreams, standing, rate=router.rate),
        retire=lambda: executor.shutdown(wait=False), callers=callers,
    )


def load_router(
    config: Config, settings: Settings, *, encoders: Encoders, heads: Heads, models: Upstreams | None = None
) -> Router:
    """The router with the encoder this machine has; without one, or without `models`, it does with less.

    Where its scorer must be fitted first, `heads` begins with it, and the router adopts it when it is ready.
    """
    embedder: Embedder | None = None
    classifier: ClassifierStage | None = None
    note, model_path = "", config.router.model_path
    try:
        if config.router.classifies:
            classifier = load_stage(config, settings.models_folder)
            note = classifier.note
        else:
            embedder = encoders.open(model_path)
    except NotReady as error:
        note = error.message
        if config.router.model_path and not config.router.classifies:
            embedder, model_path = _standard_embedder(encoders), None
        log.warning("%s", note)
    router = build_router(
        config, models=models or NoModels(), embedder=embedder, classifier=classifier, note=note,
        cache_folder=settings.data_folder / "vectors",
    )
    if embedder is not None and config.router.scorer == "hybrid":
        heads.serve(router, make_task(config, embedder, settings, model_path=model_path), embedder=embedder)
    return router


def _find_upstreams(
    config: Config, settings: Settings, executor: Executor, *, shelf: Shelf, queues: Queues, own: Address | None
) -> Upstreams:
    """Where the models of one config are. Raises ConfigError for an address that leads back here."""
    runner = config.expert_runner
    default = default_group(config, settings, own=own)
    check_addresses(config, own)
    limits = {node.url: node.max_parallel for node in config.nodes if node.max_parallel is not None}
    queues.adjust(limit=runner.max_parallel, most_waiting=config.server.queue, limits=limits)
    catalog = build_catalog(config, executor, default=default, queues=queues)
    local = LocalModels(settings.models_folder, shelf, config.ai_engine, runner=runner, queues=queues)
    return Upstreams(catalog, local)


def build_catalog(config: Config, executor: Executor, *, default: tuple[str, ...], queues: Queues) -> Catalog:
    """One Node for each distinct Ollama URL, and one lane to each."""
    listed = {node.url: node for node in config.nodes}
    urls = dict.fromkeys((*default, *listed))
    for expert in config.experts:
        if expert.type == "ollama":
            urls |= dict.fromkeys(expert.urls or ((expert.url,) if expert.url else ()))
    nodes = {
        url: Node(url, connect_timeout_s=config.expert_runner.connect_timeout_s, executor=executor,
                  lane=queues.lane(url), name=listed[url].name if url in listed else "",
                  vram=listed[url].vram if url in listed else None)
        for url in urls
    }
    return Catalog(nodes, [expert for expert in config.experts if expert.type == "ollama"], default=default)


def _build_lineup(
    config: Config, settings: Settings, upstreams: Upstreams, *, engine: Engine, shelf: Shelf, queues: Queues
) -> Lineup:
    """Who can answer: the configured experts, each with its backend, and whoever stands in for them."""
    catalog, local, runner = upstreams.catalog, upstreams.local, config.expert_runner
    everywhere = tuple(node.url for node in catalog.all_nodes())
    ways = _ways_to_ollama(config, catalog, local, everywhere=everywhere)
    backends: dict[str, Backend] = {}
    for expert in config.experts:
        if expert.type == "ollama":
            backends[expert.label] = ways[catalog.group_of(expert)]
            continue
        way = _own_way(expert, config, settings, engine=engine, shelf=shelf, queues=queues)
        backends[expert.label] = way
        if isinstance(way, Resident):
            local.adopt(expert.label, way)
    return Lineup(
        {expert.label: expert for expert in config.experts}, backends, raw=ways[everywhere],
        model_of=upstreams.model_of, sees=upstreams.sees, place_of=upstreams.place_of,
        stand_ins=lambda: [*catalog.stand_ins(), *local.ways()],
        new_breaker=lambda: Breaker(
            failures=runner.breaker_failures, cooldown_s=runner.breaker_cooldown_s, clock=time.monotonic,
        ),
    )


def _ways_to_ollama(
    config: Config, catalog: Catalog, local: LocalModels, *, everywhere: tuple[str, ...]
) -> dict[tuple[str, ...], Backend]:
    """One way for each set of nodes that some expert uses, and to all of them; the same set is the same way."""
    groups = {everywhere} | {catalog.group_of(expert) for expert in config.experts if expert.type == "ollama"}
    conversations = Conversations()
    return {
        group: ByName(Ollama([node for node in catalog.all_nodes() if node.url in group], config.expert_runner,
                             conversations), local)
        for group in groups
    }


def _own_way(
    expert: Expert, config: Config, settings: Settings, *, engine: Engine, shelf: Shelf, queues: Queues | None = None
) -> Backend:
    """The backend of an expert that shares its upstream with nobody."""
    match expert.type:
        case "api":
            return Api(expert, config.expert_runner, engine)
        case "echo":
            return Echo()
        case "builtin":
            return Builtin()
    if expert.format == "huggingface":
        return Absent(f'"{expert.label}" needs "format": "gguf" or "onnx"', reason="format not supported")
    made = Gguf if is_gguf(expert) else Onnx
    return made(expert, config.ai_engine, shelf, settings.models_folder, runner=config.expert_runner,
                queues=queues)


def find_troubles(config: Config, settings: Settings) -> list[str]:
    """What will not run on this machine although the config is right; no other machine is asked."""
    troubles = []
    engine, shelf = Engine(), Shelf(config.memory)
    for expert in config.experts:
        if expert.type == "ollama":
            continue
        reason = _own_way(expert, config, settings, engine=engine, shelf=shelf).trouble(expert.model_name)
        if expert.model_path and is_missing(expert.model_path, settings.models_folder):
            reason = f"{expert.model_path} is not there"
        if reason:
            troubles.append(f'expert "{expert.label}" cannot answer: {reason}')
    try:
        if config.router.classifies:
            load_stage(config, settings.models_folder)
        elif config.router.model_path is None and Encoders(settings.models_folder).open(None) is None:
            troubles.append(NO_ENCODER)
        elif config.router.model_path:
            Encoders(settings.models_folder).open(config.router.model_path)
    except NotReady as error:
        troubles.append(error.message)
    return troubles


def _standard_embedder(encoders: Encoders) -> Embedder | None:
    """The encoder made at set-up, in place of one that the config names but this machine does not have."""
    try:
        return encoders.open(None)
    except NotReady:
        return None
