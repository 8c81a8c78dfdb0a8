from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest

from moe.experts import Example, Expert
from moe.routing.fit import fit_head
from moe.routing.head import Head
from moe.routing.rows import Row, gather_rows
from moe.routing.scoring import Reading
from moe.routing.text import clean

from .kit import WordEmbedder
from .prompts import ASKED, EXAMPLES, make_examples, make_experts

LABELS = tuple(EXAMPLES)


def vectors_of(texts: Sequence[str]) -> np.ndarray:
    return WordEmbedder().embed([clean(text) for text in texts], kind="query")


def fit(experts: Sequence[Expert], examples: dict[str, tuple[Example, ...]]) -> Head:
    rows = gather_rows(experts, examples)
    return fit_head(rows, vectors_of([row.text for row in rows]), len(experts))


def read(head: Head, text: str) -> Reading:
    return head.read(vectors_of([text])[0], clean(text), text)


@pytest.fixture(scope="module")
def head() -> Head:
    return fit(make_experts(*LABELS), make_examples(*LABELS))


@pytest.mark.parametrize("label", LABELS)
def test_prompts_it_never_saw_go_to_their_expert(head: Head, label: str) -> None:
    reading = read(head, ASKED[label])
    assert LABELS[int(reading.shares.argmax())] == label
    assert set(reading.tell(0)) == {"score", "probability", "dense", "grams", "nearest"}


def test_the_shares_and_what_is_left_for_nobody_are_one(head: Head) -> None:
    inside, outside = read(head, ASKED["chef"]).shares.sum(), read(head, "zyx wvu tsr").shares.sum()
    assert 0 < outside < inside <= 1


def test_what_nobody_knows_is_less_sure_than_what_somebody_does(head: Head) -> None:
    assert read(head, "zyx wvu tsr").shares.max() < min(read(head, text).shares.max() for text in ASKED.values())


def test_the_same_rows_give_the_same_head(head: Head) -> None:
    again = fit(make_experts(*LABELS), make_examples(*LABELS))
    assert np.array_equal(read(head, ASKED["chef"]).scores, read(again, ASKED["chef"]).scores)


@pytest.mark.parametrize("labels", [LABELS[:1], LABELS[:2], LABELS[:3]])
def test_few_experts_do_too(labels: tuple[str, ...]) -> None:
    head = fit(make_experts(*labels), make_examples(*labels))
    for place, label in enumerate(labels):
        shares = read(head, ASKED[label]).shares
        assert int(shares.argmax()) == place and np.isfinite(shares).all()


@pytest.mark.parametrize("most", [1, 4])
def test_few_examples_do_too(most: int) -> None:
    head = fit(make_experts(*LABELS), make_examples(*LABELS, most=most))
    assert int(read(head, EXAMPLES["chef"][0]).shares.argmax()) == LABELS.index("chef")


def test_an_expert_without_examples_lives_from_its_words() -> None:
    garden = Expert(id=9, label="garden", description="plants and soil", keywords=("rose", "tulip bulb"))
    head = fit([*make_experts("chef", "coder"), garden], make_examples("chef", "coder"))
    assert int(read(head, "plant a rose or a tulip bulb").shares.argmax()) == 2


def test_an_expert_with_nothing_but_a_label_is_known_by_it() -> None:
    head = fit([*make_experts("chef", "coder"), Expert(id=9, label="rose_garden")], make_examples("chef", "coder"))
    assert int(read(head, "my rose garden").shares.argmax()) == 2


def test_experts_without_any_examples_are_told_apart() -> None:
    experts = [Expert(id=1, label="garden", keywords=("rose", "tulip")), Expert(id=2, label="car", keywords=("tyre",))]
    head = fit(experts, {})
    assert int(read(head, "a tulip").shares.argmax()) == 0
    assert int(read(head, "a flat tyre").shares.argmax()) == 1


def test_of_many_rows_only_means_are_kept() -> None:
    rows = [Row(f"{text} {number}", place) for place, label in enumerate(LABELS) for text in EXAMPLES[label]
            for number in range(70)]
    head = fit_head(rows, vectors_of([row.text for row in rows]), len(LABELS))
    assert head.support.rows.shape[0] == len(LABELS)
    assert head.mix[2] == 0
    for place, text in enumerate(ASKED.values()):
        assert int(read(head, text).shares.argmax()) == place


def test_sources_stay_whole_when_the_parts_are_weighed() -> None:
    examples = {label: tuple(Example(text, f"source {place % 6}") for place, text in enumerate(EXAMPLES[label]))
                for label in LABELS}
    head = fit(make_experts(*LABELS), examples)
    assert all(int(read(head, text).shares.argmax()) == place for place, text in enumerate(ASKED.values()))


def test_keywords_weigh_less_beside_many_examples_and_blank_ones_nothing() -> None:
    expert = Expert(id=1, label="chef", keywords=("soup", " "))
    few, many = ({"chef": tuple(Example(f"prompt {number}") for number in range(count))} for count in (3, 30))
    assert [row.weight for row in gather_rows([expert], few) if row.text == "soup"] == [1.0]
    assert [row.weight for row in gather_rows([expert], many) if row.text == "soup"] == [0.3]
    assert "" not in {row.text.strip() for row in gather_rows([expert], many)}


def test_reading_a_prompt_is_quick(head: Head) -> None:
    page = " ".join(text for own in EXAMPLES.values() for text in own) * 3
    vector = vectors_of([page])[0]
    began = time.process_time()
    for _ in range(20):
        head.read(vector, clean(page), page)
    assert (time.process_time() - began) / 20 < 0.02


def test_an_expert_known_by_two_rows_is_found_among_others_with_many() -> None:
    random = np.random.default_rng(3)
    topics = np.linalg.qr(random.normal(size=(64, 5)))[0].T

    def stray(expert: int, count: int) -> np.ndarray:
        rows = 0.4 * topics[expert] + random.normal(size=(count, 64)) / 8
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    rows = [Row(f"{expert} w{place % 7}", expert) for expert in range(4) for place in range(180)]
    rows += [Row("the fifth", 4), Row("5", 4)]
    vectors = np.concatenate([*(stray(expert, 180) for expert in range(4)), topics[[4, 4]].astype(np.float32)])
    head = fit_head(rows, vectors, 5)
    found = [int(head.read(vector, "w1", "w1").scores.argmax()) for vector in stray(4, 60)]
    others = [int(head.read(vector, "w1", "w1").scores.argmax()) for vector in stray(2, 60)]
    assert np.mean(np.array(found) == 4) > 0.5
    assert np.mean(np.array(others) == 2) > 0.7
