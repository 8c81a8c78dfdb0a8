"""The hybrid scorer as it serves: two linear heads and the nearest example, mixed and calibrated when it was fitted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from ..files import whole
from .grams import Grams, Ints, Sparse
from .scoring import Floats, Reading, softmax

Arrays = dict[str, npt.NDArray[Any]]

PARTS = ("dense", "grams", "nearest")
# What the names of the quick part's arrays begin with.
QUICK = "quick_"
# The score of an expert that a head does not know: no share is left of it.
UNKNOWN = -100.0


class Linear(Struct, frozen=True):
    """A linear head for n experts: `weights` [f, n], `bias` [n]."""

    weights: Floats
    bias: Floats

    def rate(self, vector: Floats) -> Floats:
        """[n] of a dense vector [f]."""
        rated: Floats = np.einsum("fn,f->n", self.weights, vector) + self.bias
        return rated

    def rate_sparse(self, row: Sparse) -> Floats:
        rated: Floats = np.einsum("in,i->n", self.weights[row.ids], row.values) + self.bias
        return rated


class Support(Struct, frozen=True):
    """Unit vectors [k, d] that a prompt is compared with: expert i's begin at `starts[i]`."""

    rows: Floats
    starts: Ints

    def near(self, vector: Floats) -> Floats:
        """[n]: each expert's greatest cosine."""
        nearest: Floats = np.maximum.reduceat(np.einsum("kd,d->k", self.rows, vector), self.starts)
        return nearest


class Head(Struct, frozen=True):
    """`mix` [3] weighs PARTS; `gate` [4] is the logistic of (greatest cosine, best score, logsumexp of the scores, 1)
    that gives the probability that any expert fits. `support` holds the examples, or else an expert's mean.

    `quick` is the same for the encoder's quick part alone, with the same grams.
    """

    dense: Linear
    grams: Grams
    gram_head: Linear
    support: Support
    mix: Floats
    gate: Floats
    quick: Head | None = None

    def read(self, vector: Floats, text: str, raw: str) -> Reading:
        """`vector` [d] of the cleaned `text`; `raw` is the prompt as it was sent. The shares add up to P(any fits)."""
        return self.weigh(vector, self.read_grams(text, raw))

    def read_grams(self, text: str, raw: str) -> Floats:
        """[n]: what the words and looks of a prompt say."""
        return self.gram_head.rate_sparse(self.grams.read(text, raw))

    def weigh(self, vector: Floats, grams: Floats) -> Reading:
        """The reading of a prompt whose grams say `grams` [n]."""
        nearest = self.support.near(vector)
        parts = np.stack((self.dense.rate(vector), grams, nearest), axis=1)
        scores = np.einsum("np,p->n", parts, self.mix)
        inside = admit(self.gate, measure_gate(nearest[np.newaxis], scores[np.newaxis]))[0]
        return Reading(parts, scores, softmax(scores, 1.0) * inside, PARTS)


def measure_gate(nearest: Floats, scores: Floats) -> Floats:
    """[m, 4] of `nearest` and `scores` [m, n]: what the gate reads of each prompt."""
    best = scores.max(axis=1)
    total = best + np.log(np.exp(scores - best[:, np.newaxis]).sum(axis=1))
    return np.stack((nearest.max(axis=1), best, total, np.ones_like(best)), axis=1)


def admit(gate: Floats, measured: Floats) -> Floats:
    """[m]: the probability that any expert fits."""
    logits = np.einsum("mf,f->m", measured, gate)
    admitted: Floats = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    return admitted


def save_head(head: Head, file: Path) -> None:
    """Whole or not at all. Raises OSError."""
    names = np.frombuffer("\n".join(head.grams.names).encode(), dtype=np.uint8)
    arrays: Arrays = {"names": names, "idf": head.grams.idf, "gram_weights": head.gram_head.weights,
                      "gram_bias": head.gram_head.bias, **_name_arrays(head, "")}
    if head.quick is not None:
        arrays |= _name_arrays(head.quick, QUICK)
    with whole(file) as part:
        np.savez(part, allow_pickle=False, **arrays)


def load_head(file: Path, *, experts: int, dimension: int, quick: int = 0) -> Head | None:
    """None when there is no such file. Raises ValueError for one that is no head for so many experts and dimensions,
    `quick` of them those of the part that is asked first."""
    if not file.is_file():
        return None
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        names = arrays.pop("names").tobytes().decode()
        head = _assemble(arrays, names.split("\n") if names else [])
    except (OSError, ValueError, LookupError, EOFError, BadZipFile, TypeError) as error:
        raise ValueError(f"{file} is not a head: {error}") from error
    wrong = _compare(head, experts=experts, dimension=dimension)
    if head.quick is not None:
        wrong += _compare(head.quick, experts=experts, dimension=quick)
    elif quick:
        wrong.append("nothing for the part that is asked first")
    if wrong:
        raise ValueError(f"{file} is a head of another shape: {'; '.join(wrong)}")
    return head


def _name_arrays(head: Head, prefix: str) -> Arrays:
    arrays: Arrays = {"mix": head.mix, "gate": head.gate, "support": head.support.rows, "starts": head.support.starts,
                      "dense_weights": head.dense.weights, "dense_bias": head.dense.bias}
    return {prefix + name: array for name, array in arrays.items()}


def _assemble(arrays: Arrays, names: list[str]) -> Head:
    floats: dict[str, Floats] = {name: array.astype(np.float32, copy=False) for name, array in arrays.items()}
    if not all(np.isfinite(array).all() for array in floats.values()):
        raise ValueError("it has numbers that are not finite")
    grams, gram_head = Grams(names, floats["idf"]), Linear(floats["gram_weights"], floats["gram_bias"])

    def take(prefix: str, quick: Head | None) -> Head:
        support = Support(floats[prefix + "support"], arrays[prefix + "starts"].astype(np.intp))
        if len(support.starts) and (support.starts[0] or np.any(np.diff(support.starts) <= 0)
                                    or support.starts[-1] >= len(support.rows)):
            raise ValueError("its experts' rows are out of order")
        dense = Linear(floats[prefix + "dense_weights"], floats[prefix + "dense_bias"])
        return Head(dense, grams, gram_head, support, floats[prefix + "mix"], floats[prefix + "gate"], quick)

    return take("", take(QUICK, None) if f"{QUICK}mix" in floats else None)


def _compare(head: Head, *, experts: int, dimension: int) -> list[str]:
    """What has another shape than it should."""
    shapes = {
        "dense": (head.dense.weights.shape, (dimension, experts)), "dense bias": (head.dense.bias.shape, (experts,)),
        "grams": (head.gram_head.weights.shape, (head.grams.width, experts)),
        "gram bias": (head.gram_head.bias.shape, (experts,)), "idf": (head.grams.idf.shape, (len(head.grams.names),)),
        "support": (head.support.rows.shape[1:], (dimension,)), "starts": (head.support.starts.shape, (experts,)),
        "mix": (head.mix.shape, (len(PARTS),)), "gate": (head.gate.shape, (4,)),
    }
    return [f"{name} {found}, not {due}" for name, (found, due) in shapes.items() if found != due]


def choose(head: Head, places: Sequence[int | None]) -> Head:
    """The head of other experts: each has what the expert at its place in `places` had, at least one of them; None
    for one that the head does not know, who gets no share."""
    quick = choose(head.quick, places) if head.quick is not None else None
    bounds = [*head.support.starts.tolist(), len(head.support.rows)]
    own = [np.zeros((1, head.support.rows.shape[1]), dtype=np.float32) if place is None
           else head.support.rows[bounds[place]:bounds[place + 1]] for place in places]
    starts = np.cumsum([0, *map(len, own)])[:-1].astype(np.intp)
    never = UNKNOWN / max(float(head.mix[0]), 1e-3)
    return Head(_pick(head.dense, places, absent=never), head.grams, _pick(head.gram_head, places),
                Support(np.concatenate(own), starts), head.mix, head.gate, quick)


def _pick(linear: Linear, places: Sequence[int | None], *, absent: float = 0.0) -> Linear:
    """The columns at `places`; for None nothing but `absent` as its bias."""
    unknown = np.array([place is None for place in places])
    columns = [place or 0 for place in places]
    weights, bias = linear.weights[:, columns], linear.bias[columns]
    weights[:, unknown], bias[unknown] = 0, absent
    return Linear(weights, bias)
