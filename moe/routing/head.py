"""The hybrid scorer as it serves: two linear heads and the nearest example, mixed and calibrated when it was fitted."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from .grams import Grams, Ints, Sparse
from .scoring import Floats, Reading, softmax

PARTS = ("dense", "grams", "nearest")


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
    that gives the probability that any expert fits. `support` holds the examples, or else an expert's mean."""

    dense: Linear
    grams: Grams
    gram_head: Linear
    support: Support
    mix: Floats
    gate: Floats

    def read(self, vector: Floats, text: str, raw: str) -> Reading:
        """`vector` [d] of the cleaned `text`; `raw` is the prompt as it was sent. The shares add up to P(any fits)."""
        nearest = self.support.near(vector)
        parts = np.stack((self.dense.rate(vector), self.gram_head.rate_sparse(self.grams.read(text, raw)), nearest),
                         axis=1)
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
    file.parent.mkdir(parents=True, exist_ok=True)
    names = np.frombuffer("\n".join(head.grams.names).encode(), dtype=np.uint8)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
        try:
            np.savez(part, names=names, idf=head.grams.idf, mix=head.mix, gate=head.gate,
                     dense_weights=head.dense.weights, dense_bias=head.dense.bias,
                     gram_weights=head.gram_head.weights, gram_bias=head.gram_head.bias,
                     support=head.support.rows, starts=head.support.starts)
            part.close()
            os.replace(part.name, file)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise


def load_head(file: Path, *, experts: int, dimension: int) -> Head | None:
    """None when there is no such file. Raises ValueError for one that is no head for so many experts and dimensions."""
    if not file.is_file():
        return None
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        names = arrays.pop("names").tobytes().decode()
        head = _assemble(arrays, names.split("\n") if names else [])
    except (OSError, ValueError, LookupError, EOFError, BadZipFile, TypeError) as error:
        raise ValueError(f"{file} is not a head: {error}") from error
    shapes = {
        "dense": (head.dense.weights.shape, (dimension, experts)), "dense bias": (head.dense.bias.shape, (experts,)),
        "grams": (head.gram_head.weights.shape, (head.grams.width, experts)),
        "gram bias": (head.gram_head.bias.shape, (experts,)), "idf": (head.grams.idf.shape, (len(head.grams.names),)),
        "support": (head.support.rows.shape[1:], (dimension,)), "starts": (head.support.starts.shape, (experts,)),
        "mix": (head.mix.shape, (len(PARTS),)), "gate": (head.gate.shape, (4,)),
    }
    wrong = [f"{name} {found}, not {due}" for name, (found, due) in shapes.items() if found != due]
    if wrong:
        raise ValueError(f"{file} is a head of another shape: {'; '.join(wrong)}")
    return head


def _assemble(arrays: dict[str, npt.NDArray[Any]], names: list[str]) -> Head:
    starts = arrays.pop("starts").astype(np.intp)
    floats = {name: array.astype(np.float32, copy=False) for name, array in arrays.items()}
    if not all(np.isfinite(array).all() for array in floats.values()):
        raise ValueError("it has numbers that are not finite")
    if len(starts) and (starts[0] or np.any(np.diff(starts) <= 0) or starts[-1] >= len(floats["support"])):
        raise ValueError("its experts' rows are out of order")
    return Head(Linear(floats["dense_weights"], floats["dense_bias"]), Grams(names, floats["idf"]),
                Linear(floats["gram_weights"], floats["gram_bias"]), Support(floats["support"], starts),
                floats["mix"], floats["gate"])
