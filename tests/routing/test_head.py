from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from moe.routing.formats import FORMATS
from moe.routing.grams import Grams
from moe.routing.head import Head, Linear, Support, load_head, save_head

DIMENSION, EXPERTS = 4, 2


def make_head(*, gate: tuple[float, ...] = (0, 0, 0, 0)) -> Head:
    grams = Grams(["ab", "é "], np.array([1, 2], dtype=np.float32))
    random = np.random.default_rng(0)
    weights = [random.normal(size=(size, EXPERTS)).astype(np.float32) for size in (DIMENSION, len(FORMATS) + 2)]
    zero = np.zeros(EXPERTS, dtype=np.float32)
    support = Support(np.eye(DIMENSION, dtype=np.float32)[:3], np.array([0, 2]))
    return Head(Linear(weights[0], zero), grams, Linear(weights[1], zero), support,
                np.array([1, 0.5, 10], dtype=np.float32), np.array(gate, dtype=np.float32))


def query(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_what_was_saved_reads_like_what_was_fitted(tmp_path: Path) -> None:
    head = make_head(gate=(1, 0.5, 0.25, -1))
    save_head(head, tmp_path / "heads" / "a.npz")
    loaded = load_head(tmp_path / "heads" / "a.npz", experts=EXPERTS, dimension=DIMENSION)
    assert loaded is not None
    for text in ("ab é", "nothing known", "x = 3?"):
        before, after = (each.read(query(1, 0, 0, 0), text, text) for each in (head, loaded))
        assert np.array_equal(before.shares, after.shares) and np.array_equal(before.signals, after.signals)
    assert [file.name for file in (tmp_path / "heads").iterdir()] == ["a.npz"]


def test_a_score_is_the_weighted_sum_of_its_parts() -> None:
    reading = make_head().read(query(0, 0, 1, 0), "ab", "ab")
    assert reading.names == ("dense", "grams", "nearest")
    assert np.allclose(reading.scores, reading.signals @ np.array([1, 0.5, 10]), atol=1e-5)
    assert reading.signals[:, 2].tolist() == [0, 1]


def test_the_quick_one_is_saved_beside_the_whole_and_shares_its_grams(tmp_path: Path) -> None:
    quick = make_head(gate=(0, 0, 0, 2))
    save_head(msgspec.structs.replace(make_head(), quick=quick), tmp_path / "a.npz")
    loaded = load_head(tmp_path / "a.npz", experts=EXPERTS, dimension=DIMENSION, quick=DIMENSION)
    assert loaded is not None and loaded.quick is not None and loaded.quick.grams is loaded.grams
    for before, after in ((make_head(), loaded), (quick, loaded.quick)):
        assert np.array_equal(before.read(query(0, 1, 0, 0), "ab", "ab").shares,
                              after.read(query(0, 1, 0, 0), "ab", "ab").shares)


@pytest.mark.parametrize(("has_quick", "asked"), [(True, 0), (True, DIMENSION + 1), (False, DIMENSION)])
def test_a_quick_one_for_another_encoder_is_refused(tmp_path: Path, has_quick: bool, asked: int) -> None:
    save_head(msgspec.structs.replace(make_head(), quick=make_head() if has_quick else None), tmp_path / "a.npz")
    with pytest.raises(ValueError, match="another shape"):
        load_head(tmp_path / "a.npz", experts=EXPERTS, dimension=DIMENSION, quick=asked)


@pytest.mark.parametrize(("bias", "inside"), [(0, 0.5), (30, 1.0), (-30, 0.0), (1e9, 1.0), (-1e9, 0.0)])
def test_the_gate_leaves_the_shares_what_it_lets_in(bias: float, inside: float) -> None:
    shares = make_head(gate=(0, 0, 0, bias)).read(query(1, 0, 0, 0), "ab", "ab").shares
    assert shares.sum() == pytest.approx(inside, abs=1e-6)


def test_where_none_was_saved_there_is_none(tmp_path: Path) -> None:
    assert load_head(tmp_path / "none.npz", experts=EXPERTS, dimension=DIMENSION) is None


def test_a_head_for_others_is_refused(tmp_path: Path) -> None:
    save_head(make_head(), tmp_path / "a.npz")
    for experts, dimension in ((3, DIMENSION), (EXPERTS, 5)):
        with pytest.raises(ValueError, match="another shape"):
            load_head(tmp_path / "a.npz", experts=experts, dimension=dimension)


@pytest.mark.parametrize("rubbish", [b"", b"PK\x03\x04 no zip", b"\x93NUMPY", b"{}"])
def test_rubbish_is_refused(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(rubbish)
    with pytest.raises(ValueError, match="is not a head"):
        load_head(tmp_path / "a.npz", experts=EXPERTS, dimension=DIMENSION)


@pytest.mark.parametrize(("name", "value"), [
    ("gate", np.array([1, 2, np.nan, 0], dtype=np.float32)), ("starts", np.array([0, 0])), ("starts", np.array([1, 2])),
    ("starts", np.array([0, 3])), ("mix", np.array([object()] * 3, dtype=object)), ("names", np.array([255], np.uint8)),
    ("idf", np.array([1], dtype=np.float32)), ("idf", None),
])
def test_a_head_with_a_spoilt_part_is_refused(tmp_path: Path, name: str, value: np.ndarray | None) -> None:
    save_head(make_head(), tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    changed = {**arrays, name: value} if value is not None else {k: v for k, v in arrays.items() if k != name}
    np.savez(tmp_path / "a.npz", **changed)
    with pytest.raises(ValueError, match="head"):
        load_head(tmp_path / "a.npz", experts=EXPERTS, dimension=DIMENSION)
