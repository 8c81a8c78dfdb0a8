"""Models pulled, made, copied and deleted: on the Ollama that has them or should, else in this server's own folders."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import closing
from typing import IO, Any

import msgspec

from ..aliases import Alias, Draft, is_model_name, plain
from ..config import Config
from ..config.rules import RESERVED
from ..errors import BadRequest, ConfigError, Forbidden, NotFound, Unavailable
from ..log import clean
from .catalog import Catalog
from .downloads import Fetched, is_of_a_hub
from .local import LocalModels
from .nodes import Node
from .relay import Lines, ask, is_success, look_for, relay, send_blob
from .stock import Stock
from .workbench import make_file

NOBODY = "none"
MANIFEST = "pulling manifest"
WRITING = "writing manifest"
SUCCESS = "success"

log = logging.getLogger("moe.manage")


class Manager:
    """Everything that changes which models there are. Each name is an expert's or the router's, an alias, a node's
    model, or a file's in the models folder, in that order.

    What yields Lines does so while it works: a JSON object for each step, b"" while there is nothing to say.
    """

    def __init__(
        self, config: Config, catalog: Catalog, local: LocalModels, stock: Stock, *, further: Iterable[str] = ()
    ) -> None:
        """`further` names are served here beside the experts. Raises ConfigError for a `server.manage_node` that is
        none."""
        self.aliases = stock.aliases
        self._catalog = catalog
        self._local = local
        self._stock = stock
        self._names = {plain(name): name for name in further} | {plain(name): expert.label for expert in config.experts
                       for name in (expert.label, *expert.aliases)}
        named = config.server.manage_node
        self._node = None if named == NOBODY else catalog.node(named)
        if self._node is None and named != NOBODY:
            raise ConfigError((f'server.manage_node: "{named}" is neither a configured Ollama nor an expert with one',))

    def pull(self, name: str, body: dict[str, Any]) -> Lines:
        """What this server serves itself is there at once; the rest is the node's, or the hub's where there is none."""
        is_alias = self.aliases.find(name) is not None
        if self._is_own(name) or (is_alias and not is_of_a_hub(name)):
            yield from map(_step, (MANIFEST, SUCCESS))
            return
        _check_name(name, "invalid model name")
        node = self._require_node()
        if node.state.is_up and not is_alias:
            yield from self._relay(node, "/api/pull", {**body, "model": self._spell(name)})
        elif is_of_a_hub(name):
            yield from self._fetch(name)
        elif self._local.find(name) is not None:
            yield from map(_step, (MANIFEST, SUCCESS))
        else:
            raise Unavailable(f"{_absent()}, and without it only models of a hub can be pulled: hf.co/OWNER/REPO")

    def push(self, name: str, body: dict[str, Any]) -> Lines:
        """To the registry that the name says, by the node that has the model."""
        if not name:
            raise BadRequest("model is required", param="model")
        if self._base(name) is not None:
            raise BadRequest(f'"{name}" is served by this server itself and cannot be pushed', param="model")
        node = next(iter(self._holders(name, f"model '{name}' not found")))
        yield from self._relay(node, "/api/push", {**body, "model": self._catalog.find(name)})

    def create(self, draft: Draft, body: dict[str, Any]) -> Lines:
        """An alias of what this server serves itself; whatever else it is made from is the node's matter."""
        _check_name(draft.name, "invalid model name")
        if not draft.source and not draft.files:
            raise BadRequest("neither 'from' or 'files' was specified", param="from")
        if self._is_own(draft.name):
            raise BadRequest(f'"{draft.name}" is a name of this server itself: choose another', param="model")
        base = self._base(draft.source) if draft.source else None
        node = self._require_node()
        if base is not None:
            yield from self._name(draft, base)
        elif node.state.is_up:
            source = {"from": self._spell(draft.source)} if draft.source else {}
            yield from self._relay(self._maker(draft, node), "/api/create", {**body, **source, "model": draft.name})
            self.aliases.remove([draft.name])
        elif draft.files:
            yield from self._make(draft)
        else:
            raise NotFound(f"model '{draft.source}' not found, and {_absent()}")

    def copy(self, source: str, destination: str) -> Lines:
        for what, name in (("source", source), ("destination", destination)):
            if not (what == "source" and self._is_own(name)):
                _check_name(name, f'{what} "{name}" is invalid')
        self._require_node()
        if self._is_own(destination):
            raise BadRequest(f'"{destination}" is a name of this server itself: choose another', param="destination")
        base = self._base(source)
        if base is not None:
            self._refuse_taken(destination)
            self.aliases.put(msgspec.structs.replace(base, name=destination, created=time.time()))
            return
        node = self._holders(source, f'model "{source}" not found')[0]
        body = {"source": self._catalog.find(source), "destination": destination}
        yield from ask(node, "POST", "/api/copy", body)
        self.aliases.remove([destination])
        node.renew()

    def delete(self, name: str, body: dict[str, Any]) -> Lines:
        """Of a model that several nodes have, from each. Of files in the models folder, only what was put there by
        this server."""
        self._require_node()
        alias = self.aliases.find(name)
        if self._is_own(name):
            raise Forbidden(f'"{name}" stands in the configuration: it can only be taken out there')
        if alias is not None:
            self._forget([alias])
            return
        _check_name(name, f'name "{name}" is invalid')
        local = self._local.find(name)
        if local is not None and self._catalog.find(name) is None:
            self._delete_file(local)
            return
        nodes = self._holders(name, f"model '{name}' not found")
        spelt = self._catalog.find(name)
        for node in nodes:
            yield from ask(node, "DELETE", "/api/delete", {**body, "model": spelt})
        for node in nodes:
            node.renew()

    def has_blob(self, digest: str) -> bool:
        node = self._require_node()
        return self._stock.blobs.find(digest) is not None or (node.state.is_up and look_for(node, digest))

    def take_blob(self, digest: str, content: IO[bytes], size_bytes: int) -> Lines:
        """Passed on to the node, or kept until a model is made of it."""
        node = self._require_node()
        if node.state.is_up:
            yield from send_blob(node, digest, content, size_bytes=size_bytes)
        else:
            yield from self._stock.blobs.take(digest, content)

    def find_file(self, name: str) -> str | None:
        """The local model that is called `name`, by a name made here for it too."""
        alias = self.aliases.find(name)
        return self._local.find(alias.source if alias is not None else name)

    def _relay(self, node: Node, path: str, body: dict[str, Any]) -> Lines:
        """As the node tells it; what it did is known here before its last word is passed on."""
        with closing(relay(node, path, {**body, "name": None, "stream": True})) as lines:
            for line in lines:
                if is_success(line):
                    node.renew()
                yield line

    def _fetch(self, name: str) -> Lines:
        fetched: Fetched = yield from self._stock.downloads.follow(name, self._stock.fetched())
        known = self.aliases.find(name)
        is_ours = fetched.is_new or any(alias.file == fetched.file for alias in self.aliases.entries())
        self.aliases.put(Alias(
            name=known.name if known else name, source=fetched.file.removesuffix(".gguf"), created=time.time(),
            digest=fetched.digest, file=fetched.file if is_ours else "", origin=fetched.origin,
        ))
        if known is not None:
            self._stock.clear([known.file])
        self._local.look_anew()
        log.info("pulled %s: %s", clean(name), clean(fetched.file))
        yield _step(SUCCESS)

    def _name(self, draft: Draft, base: Alias) -> Lines:
        """Makes the alias; what the draft says goes before what `base` has."""
        self._refuse_taken(draft.name)
        unfit = next((what for what in ("files", "adapters", "quantize", "template") if getattr(draft, what)), "")
        if unfit:
            raise BadRequest(f'"{draft.source}" is served by this server itself, so {unfit} cannot be set', param=unfit)
        changed = {name: value for name in ("system", "license", "messages")
                   if (value := getattr(draft, name)) is not None}
        yield from map(_step, ("using existing layer", WRITING))
        self.aliases.put(msgspec.structs.replace(
            base, name=draft.name, created=time.time(), parameters=base.parameters | draft.parameters, **changed,
        ))
        yield _step(SUCCESS)

    def _make(self, draft: Draft) -> Lines:
        """A model of this process from a file that was sent, where there is no Ollama to make it."""
        self._refuse_taken(draft.name)
        known = self.aliases.find(draft.name)
        own = known.file if known is not None else ""
        yield _step("parsing GGUF")
        file, digest = make_file(draft, self._stock.blobs, self._stock.models_folder, replaces=own)
        self._local.look_anew()
        yield _step(WRITING)
        self.aliases.put(Alias(
            name=draft.name, source=file.removesuffix(".gguf"), system=draft.system or "", file=file, digest=digest,
            parameters=draft.parameters, messages=draft.messages or (), license=draft.license or "",
            created=time.time(),
        ))
        yield _step(SUCCESS)

    def _base(self, name: str) -> Alias | None:
        """What an alias of `name` begins as; None for what is not this server's own."""
        own = plain(name)
        if own in RESERVED or own in self._names:
            return Alias(name=name, source=self._names.get(own, own))
        found = self.aliases.find(name)
        if found is not None:
            return found
        local = self._local.find(name) if self._catalog.find(name) is None else None
        return Alias(name=name, source=local) if local is not None else None

    def _is_own(self, name: str) -> bool:
        return plain(name) in RESERVED or plain(name) in self._names

    def _refuse_taken(self, name: str) -> None:
        """An alias must not hide a model. Raises BadRequest."""
        if self.aliases.find(name) is None and (self._catalog.find(name) or self._local.find(name)):
            raise BadRequest(f'there is a model "{name}": delete it first, or choose another name', param="model")

    def _delete_file(self, source: str) -> None:
        named = [alias for alias in self.aliases.entries() if alias.file and alias.source == source]
        if not named:
            raise Forbidden(f"{source} was put into the models folder by hand: it can only be deleted there")
        self._forget([alias for alias in self.aliases.entries() if alias.source == source])

    def _forget(self, gone: Iterable[Alias]) -> None:
        self._stock.forget(gone)
        self._local.look_anew()

    def _require_node(self) -> Node:
        if self._node is None:
            raise Forbidden("models are not managed through this server: server.manage_node is none")
        return self._node

    def _holders(self, name: str, not_found: str) -> list[Node]:
        """The nodes that have it, the one that manages first; that is asked anew where nobody is known to. Raises
        NotFound."""
        node = self._require_node()
        if self._catalog.find(name) is None and node.state.is_up:
            node.renew()
        holders = list(self._catalog.holders(name).values())
        if not holders:
            raise NotFound(not_found, param="model")
        return sorted(holders, key=lambda holder: holder is not node)

    def _maker(self, draft: Draft, node: Node) -> Node:
        """Where a model is made: on the node that has what it is made from."""
        holders = self._catalog.holders(draft.source) if draft.source else {}
        return node if node.url in holders else next(iter(holders.values()), node)

    def _spell(self, name: str) -> str:
        return self._catalog.find(name) or name


def _check_name(name: str, complaint: str) -> None:
    if not is_model_name(name):
        raise BadRequest(complaint, param="model")


def _step(text: str) -> bytes:
    return msgspec.json.encode({"status": text})


def _absent() -> str:
    return "no Ollama can be reached"
