from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tokenizers import Tokenizer

from moe.backends.dialogue.plan import Plan
from moe.backends.onnx.detokenizer import Detokenizer
from moe.backends.onnx.sampler import Sampler
from moe.errors import NotReady

from .onnx_kit import MODELS

LOGITS = arrays(np.float32, st.integers(1, 60), elements=st.floats(-30, 30, width=32))
PLANS = st.builds(
    Plan, temperature=st.floats(0.01, 5), top_k=st.integers(-1, 80), top_p=st.floats(0, 1.2), min_p=st.floats(0, 1.2),
    seed=st.integers(0, 2**32 - 1))
TOKENIZERS = {name: Tokenizer.from_file(str(MODELS / name / "tokenizer.json"))
              for name in ("general-onnx", "translate-t5")}


def shares_of(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    powers = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    return powers / powers.sum()


@given(LOGITS, PLANS)
def test_the_choice_is_a_probability_over_the_likeliest_tokens(logits: np.ndarray, plan: Plan) -> None:
    ids, shares = Sampler(plan).weigh(logits)
    assert len(set(ids.tolist())) == len(ids) == len(shares) >= 1
    assert shares.sum() == pytest.approx(1) and (shares >= 0).all()
    assert (np.diff(logits[ids]) <= 0).all() and logits[ids[0]] == logits.max()
    assert plan.top_k <= 0 or len(ids) <= plan.top_k
    left_out = np.delete(logits, ids)
    assert not len(left_out) or left_out.max() <= logits[ids].min()


@given(LOGITS, st.floats(0.05, 0.95))
def test_top_p_keeps_the_fewest_tokens_that_reach_it(logits: np.ndarray, top_p: float) -> None:
    ids, _ = Sampler(Plan(top_k=0, top_p=top_p)).weigh(logits)
    whole = shares_of(logits)
    assert whole[ids].sum() >= top_p - 1e-9
    assert whole[ids[:-1]].sum() <= top_p + 1e-9


@given(LOGITS, st.floats(0.01, 1))
def test_min_p_keeps_what_is_not_far_less_likely_than_the_best(logits: np.ndarray, min_p: float) -> None:
    ids, _ = Sampler(Plan(top_k=0, top_p=1.0, min_p=min_p)).weigh(logits)
    whole = shares_of(logits)
    assert (whole[ids] >= min_p * whole.max() - 1e-9).all()
    assert (np.delete(whole, ids) <= min_p * whole.max() + 1e-9).all()


@given(LOGITS, PLANS)
def test_the_same_seed_makes_the_same_choices(logits: np.ndarray, plan: Plan) -> None:
    one, other = Sampler(plan), Sampler(plan)
    chosen = [one.pick(logits, ()) for _ in range(5)]
    assert chosen == [other.pick(logits, ()) for _ in range(5)]
    assert set(chosen) <= set(Sampler(plan).weigh(logits)[0].tolist())


def test_tokens_come_as_often_as_they_are_likely() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.2], dtype=np.float32))
    sampler = Sampler(Plan(temperature=1.0, top_k=0, top_p=1.0, seed=5))
    counts = np.bincount([sampler.pick(logits, ()) for _ in range(20_000)])
    assert counts / 20_000 == pytest.approx([0.5, 0.3, 0.2], abs=0.015)


@given(LOGITS, st.integers(0, 2**32 - 1))
def test_without_temperature_the_best_is_taken(logits: np.ndarray, seed: int) -> None:
    assert Sampler(Plan(temperature=0, seed=seed)).pick(logits, ()) == int(logits.argmax())
    assert Sampler(Plan(temperature=0)).pick(logits.astype(np.float16), ()) == int(logits.astype(np.float16).argmax())


@given(LOGITS, st.floats(1e-300, 1e-3), st.integers(0, 99))
def test_next_to_no_temperature_takes_one_of_the_best(logits: np.ndarray, temperature: float, seed: int) -> None:
    rounded = np.round(logits)
    assert rounded[Sampler(Plan(temperature=temperature, seed=seed)).pick(rounded, ())] == rounded.max()


@given(LOGITS, st.lists(st.integers(0, 80), max_size=90), st.integers(-1, 100))
def test_penalties_lower_the_latest_tokens_and_no_others(
    logits: np.ndarray, before: list[int], last: int
) -> None:
    plan = Plan(repeat_penalty=1.3, presence_penalty=0.5, frequency_penalty=0.25, repeat_last_n=last)
    lowered = Sampler(plan)._penalize(logits.copy(), before)
    recent = before if last < 0 else before[len(before) - last:] if last < len(before) else before
    for token, (old, new) in enumerate(zip(logits.tolist(), lowered.tolist(), strict=True)):
        count = recent.count(token)
        factored = old / 1.3 if old > 0 else old * 1.3
        wanted = factored - 0.5 - 0.25 * count if count else old
        assert new == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize(("bias", "chosen"), [((), 1), (((1, -100.0),), 0), (((2, 100.0),), 2), (((9, 100.0),), 1)])
def test_a_bias_shifts_its_token(bias: tuple[tuple[int, float], ...], chosen: int) -> None:
    logits = np.array([1.0, 2.0, -3.0], dtype=np.float32)
    assert Sampler(Plan(temperature=0, logit_bias=bias)).pick(logits, ()) == chosen
    assert logits.tolist() == [1.0, 2.0, -3.0]


@pytest.mark.parametrize("broken", [[np.nan, 1.0], [1.0, np.nan], [np.inf, 1.0], [-np.inf, -np.inf]])
def test_a_model_that_computes_no_numbers_is_an_error(broken: list[float]) -> None:
    for temperature in (0.0, 1.0):
        with pytest.raises(NotReady, match="no finite numbers"):
            Sampler(Plan(temperature=temperature)).pick(np.array(broken, dtype=np.float32), ())


def test_a_token_that_is_impossible_is_never_taken() -> None:
    logits = np.array([0.0, -np.inf, 0.0], dtype=np.float32)
    sampler = Sampler(Plan(temperature=5.0, top_k=0, top_p=1.0, repeat_penalty=1.5, seed=1))
    assert {sampler.pick(logits, (1, 2)) for _ in range(200)} == {0, 2}


def read(name: str, ids: list[int]) -> list[str]:
    tokenizer: Any = TOKENIZERS[name]
    words = Detokenizer(lambda some: str(tokenizer.decode(some, skip_special_tokens=False)))
    return [*(words.feed(token) for token in ids), words.flush()]


@given(st.text(max_size=60).filter(lambda text: "<|" not in text))
def test_text_in_pieces_is_the_text(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    pieces = read("general-onnx", TOKENIZERS["general-onnx"].encode(text).ids)
    assert "".join(pieces) == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


@given(st.lists(st.integers(3, 212), max_size=30))
def test_words_with_spaces_before_them_keep_their_spaces(ids: list[int]) -> None:
    assert "".join(read("translate-t5", ids)) == TOKENIZERS["translate-t5"].decode(ids)


@example([97] * 7 + [129, 97])
@given(st.lists(st.integers(3, 258), max_size=60))
def test_bytes_that_make_no_character_are_said_before_long(ids: list[int]) -> None:
    tokenizer = TOKENIZERS["general-onnx"]
    pieces = read("general-onnx", ids)
    assert all("".join(pieces[place:place + 8]) for place in range(max(0, len(ids) - 8)))
    assert "".join(pieces).replace("\ufffd", "") == tokenizer.decode(ids).replace("\ufffd", "")
