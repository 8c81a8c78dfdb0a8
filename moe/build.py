"""Config -> Gateway: the only place that names every concrete part and wires one to the other."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Executor, ThreadPoolExecutor

from . import net
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
from .backends.nodes import Node
from .backends.ollama import Ollama
from .backends.onnx.backend import Onnx
from .backends.preference import Conversations
from .backends.resident import Resident
from .backends.shelf import Shelf
from .config import Config, Settings
from .core import Expert
from .embed import Embedder, Encoders
from .errors import ConfigError, NotReady, Unreachable
from .metrics import Statistics
from .net import OLLAMA_PORT
from .pipeline.breaker import Breaker
from .pipeline.dispatch import Dispatcher
from .pipeline.gateway import Gateway
from .pipeline.lineup import Lineup, ModelOf
from .routing.classifier import ClassifierStage, load_stage
from .routing.heads import Heads, make_task
from .routing.names import NoModels
from .routing.router import NO_ENCODER, Router, build_router

log = logging.getLogger("moe.build")

REFRESHERS = 4
EVERY_INTERFACE = ("", "0.0.0.0", "::")  # noqa: S104 - compared only
Address = tuple[str, int]


class Upstreams:
    """What the router may know of models; the wall between routing and backends."""

    def __init__(self, catalog: Catalog, local: LocalModels, model_of: ModelOf) -> None:
        self._catalog = catalog
        self._local = local
        self._model_of = model_of

    def find(self, name: str) -> str | None:
        return self._catalog.find(name) or self._local.find(name)

    def loaded(self) -> str | None:
        return self._catalog.loaded()

    def is_available(self, expert: Expert) -> bool:
        return bool(self._model_of(expert))


def build_gateway(
    config: Config,
    settings: Settings,
    *,
    engine: Engine,
    encoders: Encoders,
    heads: Heads,
    shelf: Shelf,
    statistics: Statistics,
    own: Address | None = None,
) -> Gateway:
    """Every part for one config. `own` is the address this server listens on, which no upstream may be.
    `engine`, `encoders`, `heads` and `shelf` outlive the gateway: what they have opened serves the next one too.

    Raises ConfigError for an upstream that is this server itself.
    """
    runner = config.expert_runner
    executor = ThreadPoolExecutor(REFRESHERS, thread_name_prefix="nodes")
    default = (default_ollama(config, settings, own=own),)
    check_addresses(config, own)
    catalog = build_catalog(config, executor, default=default)
    local = LocalModels(settings.models_folder, shelf, config.ai_engine, runner=runner)
    everywhere = tuple(node.url for node in catalog.all_nodes())
    ways = _ways_to_ollama(config, catalog, local, groups={default, everywhere})
    backends = {
        expert.label: ways[catalog.group_of(expert)] if expert.type == "ollama"
        else _own_way(expert, config, settings, engine=engine, shelf=shelf)
        for expert in config.experts
    }
    for label, way in backends.items():
        if isinstance(way, Resident):
            local.adopt(label, way)
    model_of = _ModelOf(catalog, local)
    lineup = Lineup(
        {expert.label: expert for expert in config.experts}, backends, raw=ways[everywhere], model_of=model_of,
        stand_ins=lambda: [*catalog.stand_ins(), *local.ways()], new_breaker=lambda: Breaker(
            failures=runner.breaker_failures, cooldown_s=runner.breaker_cooldown_s, clock=time.monotonic,
        ),
    )
    dispatcher = Dispatcher(
        lineup, runner, on_failure=lambda label, model: statistics.record_failure(f"{label} {model}"),
        advice=lambda: local.advice() or advise(catalog),
    )
    router = load_router(config, settings, encoders=encoders, heads=heads, models=Upstreams(catalog, local, model_of))
    for node in catalog.all_nodes():
        node.refresh()
    if any(expert.type == "api" for expert in config.experts):
        executor.submit(engine.load)  # takes seconds, which the first prompt should not wait for
    return Gateway(
        config, router, dispatcher=dispatcher, lineup=lineup, catalog=catalog, local=local, statistics=statistics,
        retire=lambda: executor.shutdown(wait=False),
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
        heads.serve(router, make_task(config, embedder, settings, model_path=model_path), dimension=embedder.dimension)
    return router


def build_catalog(config: Config, executor: Executor, *, default: tuple[str, ...]) -> Catalog:
    """One Node for each distinct Ollama URL."""
    urls = dict.fromkeys(default)
    for expert in config.experts:
        if expert.type == "ollama":
            urls |= dict.fromkeys(expert.urls or ((expert.url,) if expert.url else ()))
    nodes = {
        url: Node(url, connect_timeout_s=config.expert_runner.connect_timeout_s, executor=executor) for url in urls
    }
    return Catalog(nodes, [expert for expert in config.experts if expert.type == "ollama"], default=default)


def default_ollama(config: Config, settings: Settings, *, own: Address | None) -> str:
    """The URL of the Ollama that serves every expert without its own.

    MOE_OLLAMA_URL, else the config's `ollama_url`, else OLLAMA_HOST, else this machine, else the host of the
    container. OLLAMA_HOST often names this server, for clients' sake: then it is passed over.
    """
    named = settings.ollama_url or config.expert_runner.ollama_url
    if named:
        url = net.spell_url(named)
        problem = net.check_url(url) or ("is this server itself" if is_self(url, own) else "")
        if problem:
            raise ConfigError((f"ollama_url {url}: {problem}",))
        return url
    if settings.ollama_host:
        url = net.spell_url(settings.ollama_host)
        if not net.check_url(url) and not is_self(url, own):
            return url
        log.warning("OLLAMA_HOST is this server itself or not a usable address; using 127.0.0.1:%d", OLLAMA_PORT)
    if settings.in_container and not _accepts("127.0.0.1") and _accepts("host.docker.internal"):
        return f"http://host.docker.internal:{OLLAMA_PORT}"
    return f"http://127.0.0.1:{OLLAMA_PORT}"


def is_self(url: str, own: Address | None) -> bool:
    """Whether `url` leads back to the address this server listens on."""
    if own is None:
        return False
    parts = net.split_base(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    if port != own[1]:
        return False
    if own[0] in EVERY_INTERFACE:
        return net.is_own(host)
    return host == own[0].casefold() or (net.is_loopback(host) and net.is_loopback(own[0]))


def advise(catalog: Catalog) -> str:
    """The one next step towards a model that answers."""
    states = [(node.url, node.last_state) for node in catalog.all_nodes()]
    up = [url for url, state in states if state.is_up]
    if not up:
        urls = ", ".join(url for url, _ in states)
        return (f"nothing answers at {urls}: start Ollama (`ollama serve`; to install it see "
                "https://ollama.com/download), then `ollama pull gemma3:4b`; or do without it: `./setup.sh --model`.")
    if not any(state.models for _, state in states):
        return "run `ollama pull gemma3:4b` to get a model that can answer."
    return "see /health for what each expert lacks; `ollama pull gemma3:4b` adds a model that also sees images."


def _ways_to_ollama(
    config: Config, catalog: Catalog, local: LocalModels, *, groups: set[tuple[str, ...]]
) -> dict[tuple[str, ...], Backend]:
    """One way for each set of nodes that some expert uses, and for each of `groups`; the same set is the same way."""
    groups = groups | {catalog.group_of(expert) for expert in config.experts if expert.type == "ollama"}
    conversations = Conversations()
    return {
        group: ByName(Ollama([node for node in catalog.all_nodes() if node.url in group], config.expert_runner,
                             conversations), local)
        for group in groups
    }


def _own_way(expert: Expert, config: Config, settings: Settings, *, engine: Engine, shelf: Shelf) -> Backend:
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
    return made(expert, config.ai_engine, shelf, settings.models_folder, runner=config.expert_runner)


class _ModelOf:
    """The name of the model that serves an expert, for every type of expert. The fallback, and experts whose model is
    "auto", take a GGUF file from the models folder when Ollama has none for them; but none of these sees images."""

    def __init__(self, catalog: Catalog, local: LocalModels) -> None:
        self._catalog = catalog
        self._local = local

    def __call__(self, expert: Expert, *, fresh: bool = True) -> str:
        if expert.type != "ollama":
            return expert.model_name or expert.model_path or expert.type
        if expert.id < 0:
            return expert.model_name
        model = self._catalog.model_for(expert, fresh=fresh)
        may_be_local = expert.is_fallback or (expert.model_name == "auto" and not expert.vision)
        return model or (self._local.standard() if may_be_local else "")


def check_addresses(config: Config, own: Address | None) -> None:
    """Raises ConfigError for experts that lead back here, or to a host that is not allowed."""
    allowed = {host.casefold() for host in config.expert_runner.ollama_allowed_hosts}
    problems = []
    for expert in config.experts:
        for url in filter(None, (expert.url, *expert.urls, expert.api_base)):
            host = net.split_base(url).hostname or ""
            if is_self(url, own):
                problems.append(f'expert "{expert.label}": {url} is this server itself')
            elif expert.type == "ollama" and allowed and host not in allowed and not net.is_private(host):
                problems.append(f'expert "{expert.label}": {host} is not in ollama_allowed_hosts')
    if problems:
        raise ConfigError(tuple(problems))


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


def _accepts(host: str) -> bool:
    try:
        net.connect(host, OLLAMA_PORT, timeout_s=1.0).close()
    except Unreachable:
        return False
    return True
