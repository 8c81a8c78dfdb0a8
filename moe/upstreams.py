"""Where the models are: which Ollama has them, what each expert gets of them, and which addresses none may have."""

from __future__ import annotations

import logging

from . import net
from .backends.catalog import Catalog
from .backends.inventory import UpstreamModel
from .backends.local import LocalModels
from .backends.tier import find_tier
from .config import Config, Settings
from .errors import ConfigError, Unreachable
from .experts import TIERS, Expert, Tier
from .net import OLLAMA_PORT
from .replies import ModelCard

EVERY_INTERFACE = ("", "0.0.0.0", "::")  # noqa: S104 - compared only
Address = tuple[str, int]

log = logging.getLogger(__name__)


class Upstreams:
    """The models of Ollama and those of this process; all that the router and the lineup may know of either."""

    def __init__(self, catalog: Catalog, local: LocalModels) -> None:
        self.catalog = catalog
        self.local = local
        self._files: tuple[object, dict[str, Tier | None]] = (None, {})

    def find(self, name: str) -> str | None:
        return self.catalog.find(name) or self.local.find(name)

    def loaded(self, capability: str = "completion") -> str | None:
        """A node's model, else one of this process that has a name."""
        here = (card.name for card in self.local.loaded())
        able = (name for name in here if (card := self.local.card(name)) and capability in card.capabilities)
        return self.catalog.loaded(capability) or next(able, None)

    def sees(self, expert: Expert, model: str) -> bool:
        """Whether the expert, served by `model`, is known to take images: it says so, or the model's own card does."""
        if expert.type != "ollama":
            return expert.vision or expert.type == "echo"
        known = self.local.card(model) or self.catalog.describe(model)
        return expert.vision or (known is not None and "vision" in known.capabilities)

    def place_of(self, expert: Expert, model: str) -> tuple[str, ...]:
        """Where `model` answers for `expert`: it fails there for every other expert too."""
        match expert.type:
            case "ollama":
                return () if model in self.local.ways() else self.catalog.place_of(expert, model)
            case "api":
                return (expert.provider, expert.api_base, expert.api_key_env)
        return (expert.label,)

    def is_available(self, expert: Expert) -> bool:
        return bool(self.model_of(expert))

    def model_of(self, expert: Expert, *, fresh: bool = True) -> str:
        """The name of the model that serves `expert`, of whichever type; of one that has a model for each tier, its own
        tier's, else the other's. The fallback, and experts whose model is "auto", take a GGUF file from the models
        folder when Ollama has none for them; but none of these sees images."""
        if expert.type != "ollama":
            return expert.model_name or expert.model_path or expert.type
        if expert.id < 0:
            return expert.model_name
        if expert.models:
            tiers = sorted(expert.tiers, key=lambda tier: tier != expert.own_tier)
            found = next((models for tier in tiers if (models := self.models_for(expert, tier, fresh=fresh))), ())
            if found:
                return found[0]
        model = self.catalog.model_for(expert, fresh=fresh)
        may_be_local = expert.is_fallback or (expert.model_name == "auto" and not expert.vision)
        return model or (self.local.standard() if may_be_local else "")

    def models_for(self, expert: Expert, tier: Tier, *, fresh: bool = False) -> tuple[str, ...]:
        """The models that could serve `expert` in this tier, the preferred one first; () for none.

        Those that its config names for the tier, or where that says "auto", of all that there are. An expert with one
        model for everything has it in the tier that it is of.
        """
        if not expert.models:
            model = self.model_of(expert, fresh=fresh)
            return (model,) if model and (self.tier_of(expert, model) or expert.own_tier) == tier else ()
        if tier not in expert.tiers:
            return ()
        name = expert.model_of(tier)
        if expert.type != "ollama":
            return (name,)
        if name == "auto":
            return self.catalog.models_for(expert, tier, fresh=fresh) or self._local_models(expert, tier, fresh=fresh)
        found = self.catalog.find_named(expert, name, fresh=fresh) or self.local.find(name)
        return (found,) if found else ()

    def tier_of(self, expert: Expert, model: str) -> Tier | None:
        """The tier of a model that serves `expert`: as the config says it, else as large as the model is; None where
        nothing tells."""
        if expert.models:
            named = [tier for tier in expert.tiers if self._is_meant(expert, expert.model_of(tier), model)]
            if len(named) == 1:
                return named[0]
        elif expert.tier is not None:
            return expert.tier
        return find_tier(self._describe(expert, model), name=model)

    def _is_meant(self, expert: Expert, name: str, model: str) -> bool:
        """Whether `model` is what the expert calls `name`."""
        if name == model or name == "auto" or expert.type != "ollama":
            return name == model
        return model in (self.catalog.find_named(expert, name), self.local.find(name))

    def _local_models(self, expert: Expert, tier: Tier, *, fresh: bool) -> tuple[str, ...]:
        """Of the GGUF files in the models folder, where no node has a model for the expert; the standard one first."""
        if expert.vision or any(self.catalog.models_for(expert, other, fresh=fresh) for other in TIERS):
            return ()
        return tuple(name for name, size in self._measure_files().items() if (size or expert.own_tier) == tier)

    def _measure_files(self) -> dict[str, Tier | None]:
        """The files that can write, each with its tier; looked at again as often as the folder is."""
        ways = self.local.ways()
        if self._files[0] is not ways:
            standard = self.local.standard()
            able = (name for name, way in ways.items() if way.writes_text)
            self._files = (ways, {name: find_tier(_measure(self.local.card(name)), name=name)
                                  for name in sorted(able, key=lambda name: name != standard)})
        return self._files[1]

    def _describe(self, expert: Expert, model: str) -> UpstreamModel | None:
        if expert.type == "local":
            return _measure(self.local.card_of(expert))
        if expert.type != "ollama":
            return None
        return _measure(self.local.card(model)) or self.catalog.describe(model)

    def advise(self) -> str:
        """The one next step towards a model that answers."""
        return self.local.advice() or _advise(self.catalog)


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


def default_group(config: Config, settings: Settings, *, own: Address | None) -> tuple[str, ...]:
    """The URLs that serve every expert without its own: the nodes of the config, unless one Ollama is named."""
    if config.nodes and not (settings.ollama_url or config.expert_runner.ollama_url):
        return tuple(node.url for node in config.nodes)
    return (default_ollama(config, settings, own=own),)


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


def check_addresses(config: Config, own: Address | None) -> None:
    """Raises ConfigError for nodes and experts that lead back here, or to a host that is not allowed."""
    allowed = {host.casefold() for host in config.expert_runner.ollama_allowed_hosts}
    problems = []
    for node in config.nodes:
        host = net.split_base(node.url).hostname or ""
        if is_self(node.url, own):
            problems.append(f'node "{node.name}": {node.url} is this server itself')
        elif allowed and host not in allowed and not net.is_private(host):
            problems.append(f'node "{node.name}": {host} is not in ollama_allowed_hosts')
    for expert in config.experts:
        for url in filter(None, (expert.url, *expert.urls, expert.api_base)):
            host = net.split_base(url).hostname or ""
            if is_self(url, own):
                problems.append(f'expert "{expert.label}": {url} is this server itself')
            elif expert.type == "ollama" and allowed and host not in allowed and not net.is_private(host):
                problems.append(f'expert "{expert.label}": {host} is not in ollama_allowed_hosts')
    if problems:
        raise ConfigError(tuple(problems))


def _measure(card: ModelCard | None) -> UpstreamModel | None:
    """What tells the size of a model of this process."""
    if card is None:
        return None
    return UpstreamModel(name=card.name, size=card.size, parameter_size=card.parameter_size,
                         quantization=card.quantization)


def _advise(catalog: Catalog) -> str:
    states = [(node.url, node.last_state) for node in catalog.all_nodes()]
    up = [url for url, state in states if state.is_up]
    if not up:
        urls = ", ".join(url for url, _ in states)
        return (f"nothing answers at {urls}: start Ollama (`ollama serve`; to install it see "
                "https://ollama.com/download), then `ollama pull gemma3:4b`; or do without it: `./setup.sh --model`.")
    if not any(state.models for _, state in states):
        return "run `ollama pull gemma3:4b` to get a model that can answer."
    return "see /health for what each expert lacks; `ollama pull gemma3:4b` adds a model that also sees images."


def _accepts(host: str) -> bool:
    try:
        net.connect(host, OLLAMA_PORT, timeout_s=1.0).close()
    except Unreachable:
        return False
    return True
