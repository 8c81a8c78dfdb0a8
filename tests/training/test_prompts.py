"""What is held out, and in which batches the rest is learnt."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from moe.training.prompts import Prompt, deal_batches, find_first, hold_out

from .kit import LABELS, make_prompts


def spread(sources: dict[str, dict[str, int]]) -> list[Prompt]:
    """{source: {label: count}} as prompts."""
    return [Prompt(f"{source} {label} {number}", label, source) for source, labels in sources.items()
            for label, count in labels.items() for number in range(count)]


def test_what_differs_in_case_and_spaces_only_is_learnt_once() -> None:
    texts = ["Boil an egg", "", "boil  AN egg ", "boil two eggs", " \n", "Boil an egg"]
    assert find_first([Prompt(text, "chef") for text in texts]) == [0, 3]


def test_a_share_of_each_label_is_held_out() -> None:
    prompts = make_prompts(40)
    held = hold_out(prompts, 0.2, seed=0)
    assert Counter(prompt.label for prompt, is_held in zip(prompts, held, strict=True) if is_held) == \
        dict.fromkeys(LABELS, 8)
    assert np.array_equal(held, hold_out(prompts, 0.2, seed=0))
    assert not np.array_equal(held, hold_out(prompts, 0.2, seed=1))


@pytest.mark.parametrize(("count", "held"), [(1, 0), (2, 0), (3, 1), (9, 1), (30, 3)])
def test_a_label_of_few_prompts_keeps_one_to_learn_from(count: int, held: int) -> None:
    prompts = spread({"": {"rare": count, "common": 50}})
    assert hold_out(prompts, 0.1, seed=0)[:count].sum() == held


def test_whole_sources_are_held_out_where_there_are_enough() -> None:
    prompts = spread({f"s{number}": {"a": 5, "b": 5} for number in range(10)})
    held = hold_out(prompts, 0.2, seed=3)
    chosen = {prompt.source for prompt, is_held in zip(prompts, held, strict=True) if is_held}
    assert len(chosen) == 2
    assert all((prompt.source in chosen) == is_held for prompt, is_held in zip(prompts, held, strict=True))


@pytest.mark.parametrize("sources", [
    {"first": {"a": 50, "b": 50}, "second": {"a": 50, "b": 50}},  # two cannot stand for others
    {"x": {"a": 40}, "y": {"b": 40}, "z": {"c": 40}},  # a label would have nothing left
    {"huge": {"a": 50, "b": 50}, "tiny": {"a": 1}, "small": {"b": 1}},  # no share near what is asked for
])
def test_sources_that_cannot_be_parted_are_not(sources: dict[str, dict[str, int]]) -> None:
    prompts = spread(sources)
    for seed in range(5):
        held = hold_out(prompts, 0.1, seed=seed)
        total = Counter(prompt.label for prompt in prompts)
        out = Counter(prompt.label for prompt, is_held in zip(prompts, held, strict=True) if is_held)
        assert {label: out[label] for label in total} == {label: round(count / 10) for label, count in total.items()}


def test_every_label_keeps_something_whatever_is_held_out() -> None:
    prompts = spread({f"s{number}": {"ab"[number % 2]: 9, "rare": number == 7} for number in range(10)})
    for seed in range(20):
        held = hold_out(prompts, 0.3, seed=seed)
        left = {prompt.label for prompt, is_held in zip(prompts, held, strict=True) if not is_held}
        assert left == {"a", "b", "rare"}


def test_batches_have_everything_once_and_texts_of_a_length_together() -> None:
    lengths = np.random.default_rng(0).integers(3, 64, 1000).tolist()
    batches = deal_batches(lengths, 16, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == list(range(1000))
    assert max(map(len, batches)) == 16
    padded = sum(len(batch) * max(lengths[place] for place in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)
    assert [batch.tolist() for batch in batches] != [
        batch.tolist() for batch in deal_batches(lengths, 16, np.random.default_rng(2))]


def test_no_prompts_make_no_batches() -> None:
    assert deal_batches([], 16, np.random.default_rng(0)) == []
