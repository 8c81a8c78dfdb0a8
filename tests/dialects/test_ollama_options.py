"""Ollama's options."""

from __future__ import annotations

from typing import Any

import pytest

from moe.core import Sampling
from moe.dialects.ollama_options import read_sampling
from moe.errors import BadRequest


@pytest.mark.parametrize("options", [None, {}, {"temperature": None, "stop": None, "wind": None}])
def test_nulls_and_nothing_are_the_defaults(options: dict[str, Any] | None) -> None:
    assert read_sampling(options) == Sampling()


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("temperature", "1", "float32"),
        ("temperature", True, "float32"),
        ("top_p", [1], "float32"),
        ("min_p", 10**400, "float32"),
        ("top_k", "40", "integer"),
        ("top_k", 1.5, "integer"),
        ("seed", True, "integer"),
        ("seed", 2**63, "integer"),
        ("num_predict", {}, "integer"),
        ("num_ctx", "8192", "integer"),
        ("use_mmap", 1, "boolean"),
        ("stop", "x", "array of strings"),
        ("stop", [1], "array of strings"),
    ],
)
def test_a_wrong_type_is_told_in_ollamas_words(name: str, value: Any, kind: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_sampling({name: value})
    assert caught.value.message == f'option "{name}" must be of type {kind}'


@pytest.mark.parametrize("asked", [1, 128.0])
def test_a_positive_limit_limits(asked: float) -> None:
    assert read_sampling({"num_predict": asked}) == Sampling(max_tokens=int(asked))


@pytest.mark.parametrize("asked", [0, -1, -2.0])
def test_no_limit_is_kept_as_what_the_client_said(asked: float) -> None:
    assert read_sampling({"num_predict": asked}) == Sampling(options={"num_predict": int(asked)})


def test_the_engines_own_options_travel_as_given() -> None:
    sampling = read_sampling({"num_ctx": 4096, "mirostat": 2, "anything": ["x"], "top_k": 5})
    assert sampling == Sampling(top_k=5, options={"num_ctx": 4096, "mirostat": 2, "anything": ["x"]})
