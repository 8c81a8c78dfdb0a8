"""Vectors for clients: from the encoder in this process, from Ollama's embedding models, from an API."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec import structs

from ..aliases import Aliases, plain
from ..backends.api import Api
from ..backends.base import BEAT
from ..backends.catalog import Catalog
from ..backends.embedding import Steps, embed
from ..backends.local import LocalModels
from ..backends.nodes import Node
from ..backends.queues import Queues
from ..backends.relay import Told
from ..config import Config
from ..config.rules import RESERVED
from ..core import Decision, Embedded, EmbedRequest
from ..embed import Encoders, Lent, OnnxEmbedder, OpenAiTokens
from ..errors import (
    BackendError,
    BadRequest,
    Busy,
    Crowded,
    ModelNotFound,
    NotReady,
    Unavailable,
    UpstreamFailure,
    UpstreamRefusal,
)
from ..experts import Expert
from ..log import clean
from ..replies import ModelCard
from .lineup import Lineup

SLICE_S = 0.03
CHARS_PER_TOKEN = 64  # so much of a text that is cut is looked at
DECIMALS = 9  # as good as the 32 bits of the number itself, in half the characters

log = logging.getLogger("moe.vectors")


class _Fame(NamedTuple):
    """What is known of an encoder beside its card: the name Ollama's clients know it by, and its size."""

    name: str
    family: str
    parameter_size: str


_FAMOUS = {"all-MiniLM-L6-v2": _Fame("all-minilm", "bert", "22.7M")}


class Vectors:
    """Every name that vectors can be asked of. Thread-safe."""

    def __init__(
        self, config: Config, encoders: Encoders, tokens: OpenAiTokens, *, catalog: Catalog, local: LocalModels,
        lineup: Lineup, aliases: Aliases,
    ) -> None:
        labels = {plain(expert.label): expert for expert in config.experts}
        self._experts = {plain(name): expert for expert in config.experts for name in expert.aliases} | labels
        self._lent = encoders.describe(None if config.router.classifies else config.router.model_path)
        self._names = frozenset(map(plain, self.names()))
        self._runner = config.expert_runner
        self._encoders = encoders
        self._tokens = tokens
        self._catalog = catalog
        self._local = local
        self._lineup = lineup
        self._aliases = aliases
        queues = Queues(limit=1, most_waiting=config.server.queue)
        self._lane = queues.lane("encoder")

    def names(self) -> tuple[str, ...]:
        """Those of the encoder in this process: as it is listed, and as its makers call it."""
        return () if self._lent is None else (_name_of(self._lent.name), self._lent.name)

    def is_encoder(self, name: str) -> bool:
        """Whether a client's `name` means the encoder in this process."""
        return plain(name) in self._names and plain(name) not in self._experts

    def card(self) -> ModelCard | None:
        """Of the encoder in this process; it is not opened for this."""
        return None if self._lent is None else _card(self._lent)

    def make(self, request: EmbedRequest) -> Steps:
        """Heartbeats, then the vectors. Raises RequestError, Unavailable, Told; closing it ends the work."""
        try:
            return (yield from self._way(request))
        except Crowded as error:
            raise Busy from error
        except UpstreamRefusal:
            raise
        except UpstreamFailure as error:
            if error.upstream_status == 503:
                raise Busy(retry_after_s=error.retry_after_s or 1.0) from error
            raise Told(error.message, status=error.upstream_status) from error
        except BackendError as error:
            log.warning("vectors of %s failed: %s", clean(request.model), clean(error.reason))
            raise Unavailable(f'"{request.model}" makes no vectors now: {error.reason}') from error

    def _way(self, request: EmbedRequest) -> Steps:
        name = request.model
        expert = self._experts.get(plain(name))
        alias = self._aliases.find(name) if expert is None else None
        if alias is not None:
            name = alias.source
            expert = self._experts.get(plain(name))
        if expert is not None:
            return self._of_expert(request, expert)
        if self.is_encoder(name) or plain(name) in RESERVED:
            return self._encode(request)
        self._catalog.seek(name)
        found = self._catalog.find(name)
        if found is not None:
            return self._of_nodes(request, found, self._catalog.all_nodes())
        if self._local.find(name) is not None:
            raise _no_embedder(request.model)
        raise ModelNotFound(request.model)

    def _of_expert(self, request: EmbedRequest, expert: Expert) -> Steps:
        """Of Ollama's only an expert whose model is there for that, so that no chat model's vectors come by chance."""
        chosen = next(self._lineup.candidates(Decision(expert=expert, stage="explicit", confidence=1.0)))
        model = chosen.model
        if isinstance(chosen.backend, Api):
            return chosen.backend.embed(structs.replace(request, model=model))
        nodes = self._catalog.nodes_of(expert) if expert.type == "ollama" else []
        known = self._catalog.describe(model, nodes) if model else None
        if known is None or "embedding" not in known.capabilities:
            raise _no_embedder(request.model)
        return self._of_nodes(request, model, nodes)

    def _of_nodes(self, request: EmbedRequest, model: str, nodes: Sequence[Node]) -> Steps:
        holders = [node for node in nodes if model in node.last_state.models]
        return embed(holders, structs.replace(request, model=model), self._texts(request), self._runner)

    def _texts(self, request: EmbedRequest) -> list[str]:
        return [each if isinstance(each, str) else self._tokens.decode(each) for each in request.inputs]

    def _encode(self, request: EmbedRequest) -> Steps:
        """A few texts at a time, in turns with other clients; the router's own prompts wait for none of them."""
        began = time.monotonic_ns()
        encoder = self._open()
        load_ns = time.monotonic_ns() - began
        kept = _kept(request.dimensions, encoder)
        left = iter(self._texts(request))
        rows: list[list[float]] = []
        count = 0
        is_over = False
        while not is_over:
            yield from self._lane.enter(request.client)
            try:
                is_over, tokens = _run_slice(encoder, left, rows, kept=kept, truncate=request.truncate)
            finally:
                self._lane.leave()
            count += tokens
            yield BEAT
        return Embedded(model=_name_of(encoder.name), rows=rows, tokens=count, load_ns=load_ns)

    def _open(self) -> OnnxEmbedder:
        if self._lent is None:
            raise Unavailable("there is no encoder: run ./setup.sh")
        try:
            return self._encoders.lend(self._lent)
        except NotReady as error:
            log.error("the encoder cannot be opened: %s", clean(error.message))
            raise Unavailable("the encoder cannot be opened: run ./setup.sh; the server's log says why") from error


def _run_slice(
    encoder: OnnxEmbedder, left: Iterator[str], rows: list[list[float]], *, kept: int, truncate: bool
) -> tuple[bool, int]:
    """Appends rows for a short while. Returns whether nothing is left, and how many tokens were read."""
    until = time.monotonic() + SLICE_S
    count = 0
    while time.monotonic() < until:
        text = next(left, None)
        if text is None:
            return True, count
        tokens = _read(encoder, text, truncate=truncate)
        count += len(tokens)
        rows.append(_row(encoder, tokens, kept))
    return False, count


def _read(encoder: OnnxEmbedder, text: str, *, truncate: bool) -> list[int]:
    """The text's tokens; of a long text its beginning, and the mark of its end."""
    limit = encoder.whole_tokens
    tokens = encoder.split(text[:limit * CHARS_PER_TOKEN] if truncate else text)
    if len(tokens) <= limit:
        return tokens
    if not truncate:
        raise BadRequest(f"the input length exceeds the context length: {len(tokens)} tokens, at most {limit}",
                         param="input")
    return tokens[:limit - 1] + tokens[-1:]


def _row(encoder: OnnxEmbedder, tokens: list[int], kept: int) -> list[float]:
    """A unit row; all zeros for what has no token at all."""
    if not tokens:
        return [0.0] * kept
    row = encoder.run_tokens(tokens)[0].astype(np.float64)
    if kept < len(row):
        row = row[:kept]
        row /= np.linalg.norm(row) or 1.0
    numbers: list[float] = np.round(row, DECIMALS).tolist()
    return numbers


def _kept(dimensions: int | None, encoder: OnnxEmbedder) -> int:
    if dimensions is not None and dimensions > encoder.dimension:
        raise BadRequest(f"dimensions: {_name_of(encoder.name)} has {encoder.dimension}", param="dimensions")
    return dimensions or encoder.dimension


def _no_embedder(name: str) -> BadRequest:
    return BadRequest(f'"{name}" does not support embeddings', param="model")


def _name_of(encoder: str) -> str:
    fame = _FAMOUS.get(encoder)
    return fame.name if fame is not None else encoder


def _card(lent: Lent) -> ModelCard:
    fame = _FAMOUS.get(lent.name) or _Fame(lent.name, "encoder", "")
    info: dict[str, Any] = {"general.architecture": fame.family, "general.name": lent.name,
                            f"{fame.family}.context_length": lent.whole_tokens,
                            f"{fame.family}.embedding_length": lent.dimension}
    return ModelCard(
        name=fame.name, kind="model", description="the router's encoder, in this process", size=lent.size_bytes,
        digest=lent.digest, modified=lent.modified, family=fame.family, parameter_size=fame.parameter_size,
        quantization="INT8", context_length=lent.whole_tokens, capabilities=("embedding",), form="onnx", info=info,
    )
