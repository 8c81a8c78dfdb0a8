"""Where the models are: which Ollama has them, what each expert gets of them, and which addresses none may have."""

from __future__ import annotations

import logging

from . import net
from .backends.catalog import Catalog
from .backends.local import LocalModels
from .config import Config, Settings
from .errors import ConfigError, Unreachable
from .experts import Expert
from .net import OLLAMA_PORT

EVERY_INTERFACE = ("", "0.0.0.0", "::")  # noqa: S104 - compared only
Address = tuple[str, int]

log = logging.getLogger(__name__)


class Upstreams:
    """The models of Ollama and those of this process; all that the router and the lineup may know of either."""

    def __init__(self, catalog: Catalog, local: LocalModels) -> None:
        self.catalog = catalog
        self.local = local

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
        """The name of the model that serves `expert`, of whichever type. The fallback, and experts whose model is
        "auto", take a GGUF file from the models folder when Ollama has none for them; but none of these sees images."""
        if expert.type != "ollama":
            return expert.model_name or expert.model_path or expert.type
        if expert.id < 0:
            return expert.model_name
        model = self.catalog.model_for(expert, fresh=fresh)
        may_be_local = expert.is_fallback or (expert.model_name == "auto" and not expert.vision)
        return model or (self.local.standard() if may_be_local else "")

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
