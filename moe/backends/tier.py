"""How large a model is, and so its tier: from what a node says of it, its file, or in the end its name."""

from __future__ import annotations

import math
import re
from typing import Any

from ..experts import Tier
from .inventory import UpstreamModel

MOST_QUICK = 20.0  # billions of parameters, the largest of the first tier
# Bits of one weight in a file, its scales and the tensors kept finer included: of the kinds whose name does not say it.
_BITS = {
    "F64": 64.0, "F32": 32.0, "F16": 16.0, "BF16": 16.0, "FP16": 16.0, "FP8": 8.0, "INT8": 8.0, "INT4": 4.3,
    "MXFP4": 4.3, "NVFP4": 4.6, "Q8_0": 8.5, "Q6_K": 6.6, "Q5_K_M": 5.7, "Q5_K_S": 5.5, "Q5_1": 6.0, "Q5_0": 5.5,
    "Q4_K_M": 4.85, "Q4_K_S": 4.6, "Q4_1": 5.0, "Q4_0": 4.6, "IQ4_NL": 4.6, "IQ4_XS": 4.3, "Q3_K_L": 4.3, "Q3_K_M": 3.9,
    "Q3_K_S": 3.5, "IQ3_M": 3.7, "IQ3_S": 3.5, "IQ3_XS": 3.3, "IQ3_XXS": 3.1, "Q2_K": 3.2, "Q2_K_S": 3.0, "IQ2_M": 2.7,
    "IQ2_S": 2.5, "IQ2_XS": 2.4, "IQ2_XXS": 2.1, "IQ1_M": 1.8, "IQ1_S": 1.6, "TQ2_0": 2.1, "TQ1_0": 1.7,
}
_ROUGHLY = re.compile(r"I?Q([1-8])_")
_USUAL_BITS = 4.85  # Q4_K_M, as most models are pulled
_SCALES = 0.6  # of a bit, what a kind of quantisation nobody has listed takes beside its weights
# Of each of several experts only the inner layers are its own; the rest stands once: 8x7b is 45 billion, not 56.
_SHARED, _OWN = 0.22, 0.78
_UNITS = {"m": 1e-3, "b": 1.0, "t": 1e3}
_SIZE = r"(?P<size>\d{1,4}(?:\.\d{1,3})?)\s?(?P<unit>[mbt])"
_TOLD = re.compile(rf"(?:(?P<experts>\d{{1,3}})x|e)?{_SIZE}", re.IGNORECASE)
_COUNT = re.compile(r"\d{5,16}")
# "8x7b", "30b-a3b", "17b-16e", "e4b", "r7b"; what "a" begins is only the active part. "1m" is a context's length.
_NAMED = re.compile(
    rf"(?<![\d.])(?<![\W_]a)(?<!^a)(?:(?P<experts>\d{{1,3}})x)?{_SIZE}(?![a-z0-9])(?:[-_](?P<of>\d{{1,3}})e(?![a-z0-9]))?",
    re.IGNORECASE)
_LEAST_MILLIONS = 10


def find_tier(model: UpstreamModel | None, *, name: str = "", configured: Tier | None = None) -> Tier | None:
    """The configured tier; else that of the model's size, None where nothing tells it. `name` is for a model that no
    node describes."""
    if configured is not None:
        return configured
    size = read_name(name) if model is None else find_size(model)
    return None if size is None else tier_of(size)


def tier_of(billions: float) -> Tier:
    return 1 if billions <= MOST_QUICK else 2


def find_size(model: UpstreamModel) -> float | None:
    """Billions of parameters, of all experts within it together; None where nothing tells.

    In this order: counted by who serves it, told in words, worked out of the file's size, read from the name.
    """
    told = _read_count(model) or read_told(model.parameter_size)
    if told is None and not model.is_remote:
        told = _weigh(model.size, model.quantization)
    told = told or read_name(model.name)
    is_file = model.size > 0 and not model.is_remote
    return told or (model.size * 8 / _USUAL_BITS / 1e9 if is_file else None)


def read_told(text: str) -> float | None:
    """Billions of parameters in what a server says: "14.7B", "134.52M", "8x7B" or a plain count."""
    text = text.strip()
    if _COUNT.fullmatch(text):
        return int(text) / 1e9
    found = _TOLD.fullmatch(text)
    return _multiply(found, found["experts"]) if found else None


def read_name(name: str) -> float | None:
    """Billions of parameters by a model's name, its tag before the rest; None where it has no such part."""
    family, _, tag = name.rsplit("/", 1)[-1].partition(":")
    for text in (tag, family):
        found = list(_NAMED.finditer(text))
        sizes = [_multiply(each, each["experts"] or each["of"]) for each in found if each["unit"] not in "mM"]
        sizes += [_multiply(each, None) for each in found
                  if each["unit"] in "mM" and float(each["size"]) >= _LEAST_MILLIONS]
        if sizes:
            return sizes[0]
    return None


def _read_count(model: UpstreamModel) -> float | None:
    info = model.page.get("model_info")
    count: Any = info.get("general.parameter_count") if isinstance(info, dict) else None
    if isinstance(count, bool) or not isinstance(count, (int, float)) or not math.isfinite(count) or count <= 0:
        return None
    return float(count) / 1e9


def _weigh(size_bytes: int, quantization: str) -> float | None:
    """Out of a file whose weights' size is known."""
    kind = quantization.strip().upper()
    bits = _BITS.get(kind)
    if bits is None and (found := _ROUGHLY.match(kind)):
        bits = int(found[1]) + _SCALES
    return size_bytes * 8 / bits / 1e9 if bits and size_bytes > 0 else None


def _multiply(found: re.Match[str], experts: str | None) -> float:
    billions = float(found["size"]) * _UNITS[found["unit"].lower()]
    return billions * (_SHARED + _OWN * int(experts)) if experts else billions
