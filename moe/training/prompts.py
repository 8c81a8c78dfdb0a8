"""Labelled prompts as they are learnt from: each once, some of them held out, in batches of about the same length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

# Fewer origins are not enough for a part of them to stand for the others.
FEWEST_SOURCES = 3
# Whole sources never add up to just the share that was asked for.
TOO_MANY, TOO_FEW = 1.25, 0.5
BATCHES_SORTED = 32


class Prompt(Struct, frozen=True):
    """`text` as a classifier reads it when it serves."""

    text: str
    label: str
    source: str = ""


def find_first(prompts: Sequence[Prompt]) -> list[int]:
    """The places of all but the blank ones and those that differ from a former one in case and spaces only: what is
    held out must be unseen."""
    found: dict[str, int] = {}
    for place, prompt in enumerate(prompts):
        found.setdefault(" ".join(prompt.text.casefold().split()), place)
    found.pop("", None)
    return list(found.values())


def hold_out(prompts: Sequence[Prompt], share: float, *, seed: int) -> Flags:
    """[m]: which prompts are held out. Whole sources where there are enough of them, else a share of each label;
    every label keeps something to be learnt from."""
    random = np.random.default_rng(seed)
    held = _hold_sources(prompts, share, random)
    return _hold_labels(prompts, share, random) if held is None else held


def deal_batches(lengths: Sequence[int], size: int, random: np.random.Generator) -> list[Places]:
    """All places once, in random batches of at most `size`; texts of about the same length go together, for the
    longest of a batch sets what it costs."""
    order = random.permutation(len(lengths))
    batches: list[Places] = []
    for start in range(0, len(order), size * BATCHES_SORTED):
        part = sorted(order[start : start + size * BATCHES_SORTED].tolist(), key=lambda place: lengths[place])
        batches += [np.array(part[at : at + size], dtype=np.intp) for at in range(0, len(part), size)]
    return [batches[place] for place in random.permutation(len(batches))]


def _hold_sources(prompts: Sequence[Prompt], share: float, random: np.random.Generator) -> Flags | None:
    """None where the sources do not let themselves be parted so."""
    sizes = Counter(prompt.source for prompt in prompts)
    if len(sizes) < FEWEST_SOURCES:
        return None
    left = Counter(prompt.label for prompt in prompts)
    held: set[str] = set()
    count = 0
    for source in random.permutation(sorted(sizes)).tolist():
        own = Counter(prompt.label for prompt in prompts if prompt.source == source)
        if count + sizes[source] <= TOO_MANY * share * len(prompts) and all(left[each] > own[each] for each in own):
            held.add(source)
            left -= own
            count += sizes[source]
    if count < TOO_FEW * share * len(prompts):
        return None
    return np.array([prompt.source in held for prompt in prompts])


def _hold_labels(prompts: Sequence[Prompt], share: float, random: np.random.Generator) -> Flags:
    """A label of three prompts or more has one held out at least, one of a single prompt none."""
    held = np.zeros(len(prompts), dtype=np.bool_)
    labels = np.array([prompt.label for prompt in prompts])
    for label in np.unique(labels):
        own = random.permutation(np.flatnonzero(labels == label))
        held[own[: max(round(share * len(own)), 1 if len(own) > 2 else 0)]] = True
    return held
