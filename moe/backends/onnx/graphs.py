"""A model's ONNX graphs, step by step: with a cache as optimum exports it, in one graph or two, or without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ... import engines
from ...engines import EngineError

_TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32,
          "tensor(float16)": np.float16, "tensor(double)": np.float64, "tensor(bool)": np.bool_}
_PAST = "past_key_values."
_HEADS, _WIDTH, _AXES = 1, 3, 4


class Graph:
    """One session and what it asks for. Raises EngineError for a graph of another kind."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._types: dict[str, Any] = {}
        self._past: dict[str, tuple[int, ...]] = {}
        for slot in session.get_inputs():
            if slot.type not in _TYPES:
                raise EngineError(f"the graph's input {slot.name} is of the type {slot.type}, which nothing here gives")
            self._types[slot.name] = _TYPES[slot.type]
            if slot.name.startswith(_PAST):
                self._past[slot.name] = _empty_shape(slot.name, slot.shape)
        outputs = [slot.name for slot in session.get_outputs()]
        self._present = {name.replace("present_key_values.", "present."): name for name in outputs}
        self.has_logits = "logits" in outputs
        self.switches = "use_cache_branch" in self._types

    @property
    def takes_cache(self) -> bool:
        return bool(self._past)

    @property
    def inputs(self) -> frozenset[str]:
        return frozenset(self._types)

    def kept(self, past_of: Graph) -> dict[str, str]:
        """Which output becomes which input of `past_of`; only what this graph gives."""
        named = {name: self._present.get("present." + name.removeprefix(_PAST)) for name in past_of._past}
        return {name: output for name, output in named.items() if output is not None}

    def missing(self, past_of: Graph) -> list[str]:
        """The cache inputs of `past_of` that no output of this graph fills."""
        return sorted(past_of._past.keys() - self.kept(past_of).keys())

    def empty_cache(self) -> dict[str, Any]:
        return {name: np.zeros(shape, self._types[name]) for name, shape in self._past.items()}

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Any]) -> list[Any]:
        """Takes of `feeds` what the graph knows, arrays in whatever type it wants. Raises EngineError."""
        unknown = self._types.keys() - feeds.keys()
        if unknown:
            raise EngineError(f"the graph wants {', '.join(sorted(unknown))}, which nothing here gives")
        ready = {name: np.ascontiguousarray(feeds[name], wanted) if isinstance(feeds[name], np.ndarray) else feeds[name]
                 for name, wanted in self._types.items()}
        return engines.run(self._session, outputs, ready)


class Decoder:
    """Tokens in, logits out. `later` is the graph that goes on from a cache, where that is a graph of its own."""

    def __init__(self, first: Graph, later: Graph | None = None) -> None:
        if not first.has_logits or (later is not None and not later.has_logits):
            raise EngineError("the graph has no output called logits: it is no language model")
        self.first = first
        self.later = first if later is None and first.takes_cache else later
        if self.later is not None and (missing := first.missing(self.later)):
            raise EngineError(f"no output of the graph fills its input {missing[0]}")

    @property
    def reads_in_parts(self) -> bool:
        """Whether a prompt may be given piece by piece: the one graph takes a cache of any length, even none."""
        return self.later is self.first and not self.first.switches


class Track:
    """One answer's way through the decoder; `fixed` are inputs that stay, such as what an encoder made."""

    def __init__(self, decoder: Decoder, fixed: Mapping[str, Any]) -> None:
        self._decoder = decoder
        self._fixed = fixed
        self._cache: dict[str, Any] = {}
        self._ids: list[int] = []

    def advance(self, ids: Sequence[int]) -> npt.NDArray[Any]:
        """The logits [vocabulary] after these further tokens. Raises EngineError."""
        logits = self._run(ids, ["logits"])[0].numpy()
        if logits.ndim != 3 or not logits.size:
            raise EngineError(f"the graph's logits have the shape {logits.shape}")
        last: npt.NDArray[Any] = logits[0, -1]
        return last

    def read(self, ids: Sequence[int]) -> None:
        """Takes in a part of the prompt; only for a decoder that reads in parts."""
        self._run(ids, [])

    def _run(self, ids: Sequence[int], wanted: list[str]) -> list[Any]:
        decoder, before = self._decoder, len(self._ids)
        self._ids += ids
        if decoder.later is None:
            return decoder.first.run(wanted, self._feeds(self._ids, 0))
        graph = decoder.later if before else decoder.first
        feeds = self._feeds(ids, before) | (self._cache or graph.empty_cache())
        feeds["use_cache_branch"] = np.array([before > 0])
        kept = graph.kept(decoder.later)
        if before:  # what came of an encoder was made by the first step and stays as it is
            kept = {name: output for name, output in kept.items() if ".encoder." not in name}
        found = graph.run([*wanted, *kept.values()], feeds)
        self._cache |= zip(kept, found[len(wanted):], strict=True)
        return found[:len(wanted)]

    def _feeds(self, ids: Sequence[int], before: int) -> dict[str, Any]:
        total = before + len(ids)
        places = np.arange(before, total, dtype=np.int64)
        row = np.array([ids], dtype=np.int64)
        return {
            "input_ids": row, "decoder_input_ids": row, "attention_mask": np.ones((1, total), np.int64),
            "decoder_attention_mask": np.ones((1, total), np.int64), "position_ids": places[np.newaxis],
            "cache_position": places, "token_type_ids": np.zeros_like(row), "num_logits_to_keep": np.array(1),
            **self._fixed,
        }


def _empty_shape(name: str, shape: Sequence[Any]) -> tuple[int, ...]:
    """[1, heads, 0, width] as the graph itself says."""
    if len(shape) != _AXES or not all(type(shape[axis]) is int for axis in (_HEADS, _WIDTH)):
        told = "not [rows, heads, length, width] with numbers for heads and width"
        raise EngineError(f"the graph's cache input {name} has the shape {list(shape)}, {told}")
    return (1, shape[_HEADS], 0, shape[_WIDTH])
