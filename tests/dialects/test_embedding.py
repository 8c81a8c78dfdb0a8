"""Vectors asked for in three forms, and the bytes they come back as."""

from __future__ import annotations

import base64
import json
import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.core import Embedded, EmbedRequest
from moe.dialects.embedding import EmbeddingDialect, Ollama, OllamaSingle, OpenAi
from moe.errors import BadRequest

FORMS: tuple[EmbeddingDialect, ...] = (OpenAi(), Ollama(), OllamaSingle())


def parse(form: EmbeddingDialect, **body: Any) -> EmbedRequest:
    return form.parse(json.dumps({"model": "m", **body}).encode())


@pytest.mark.parametrize(("sent", "inputs"), [
    ("a", ("a",)), (["a", ""], ("a", "")), ([1, 2], ((1, 2),)), ([[1, 2], [3]], ((1, 2), (3,)))])
def test_openai_takes_texts_and_tokens(sent: Any, inputs: tuple[Any, ...]) -> None:
    assert parse(OpenAi(), input=sent).inputs == inputs


@pytest.mark.parametrize("sent", ["", [], None, 7, {}, [""] * 2049, ["a", 1], ["a", [1]], [[]], [-1], [1.5], [None],
                                  [2**40], [["a"]]])
def test_openai_refuses_the_rest_and_names_the_field(sent: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(OpenAi(), input=sent)
    assert (refused.value.param or "").startswith("input")


@pytest.mark.parametrize(("body", "param"), [
    ({"encoding_format": "hex"}, "encoding_format"), ({"dimensions": 0}, "dimensions"), ({"model": " "}, "model")])
def test_openai_names_other_faults(body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(OpenAi(), **{"input": "a", **body})
    assert refused.value.param == param


@pytest.mark.parametrize(("sent", "inputs"), [("a", ("a",)), ("", ()), (None, ()), ([], ()), (["a", ""], ("a", ""))])
def test_ollama_takes_texts_and_nothing(sent: Any, inputs: tuple[str, ...]) -> None:
    assert parse(Ollama(), input=sent).inputs == inputs


@pytest.mark.parametrize("sent", [7, [7], ["a", None], {"a": 1}, [["a"]], True])
def test_ollama_refuses_the_rest_in_its_own_words(sent: Any) -> None:
    with pytest.raises(BadRequest, match="^invalid input type$"):
        parse(Ollama(), input=sent)


def test_ollama_says_how_the_model_is_run_and_nulls_say_nothing() -> None:
    asked = parse(Ollama(), input="a", truncate=False, dimensions=3, keep_alive="5m",
                  options={"num_ctx": 512, "seed": None})
    assert asked == EmbedRequest(model="m", inputs=("a",), truncate=False, dimensions=3, keep_alive="5m",
                                 options={"num_ctx": 512})
    assert parse(Ollama(), input="a", truncate=None, dimensions=0, keep_alive="", options=None) == EmbedRequest(
        model="m", inputs=("a",))
    for wrong in ({"keep_alive": "soon"}, {"options": {"num_ctx": "x"}}, {"dimensions": -1}):
        with pytest.raises(BadRequest):
            parse(Ollama(), input="a", **wrong)


def test_the_old_form_has_one_prompt() -> None:
    assert parse(OllamaSingle(), prompt="a") == EmbedRequest(model="m", inputs=("a",), is_single=True)
    assert parse(OllamaSingle(), prompt="").inputs == ()


MADE = Embedded(model="all-minilm", rows=[[0.6, -0.8], [1.0, 0.0]], tokens=7, load_ns=5)


def test_each_form_has_its_own_reply() -> None:
    asked = EmbedRequest(model="m")
    openai, ollama, single = (json.loads(form.reply(asked, MADE, 9)) for form in FORMS)
    assert openai == {"object": "list", "model": "all-minilm", "usage": {"prompt_tokens": 7, "total_tokens": 7},
                      "data": [{"object": "embedding", "index": 0, "embedding": [0.6, -0.8]},
                               {"object": "embedding", "index": 1, "embedding": [1.0, 0.0]}]}
    assert ollama == {"model": "m", "embeddings": MADE.rows, "total_duration": 9, "load_duration": 5,
                      "prompt_eval_count": 7}
    assert single == {"embedding": [0.6, -0.8]}
    assert json.loads(OllamaSingle().reply(asked, Embedded(model="m", rows=[]), 9)) == {"embedding": []}


def test_packed_rows_are_little_endian_floats_in_base64() -> None:
    reply = json.loads(OpenAi().reply(EmbedRequest(packs=True), MADE, 9))
    packed = base64.b64decode(reply["data"][0]["embedding"])
    assert struct.unpack("<2f", packed) == pytest.approx((0.6, -0.8), abs=1e-7)


@given(st.sampled_from(FORMS), st.one_of(st.binary(max_size=60), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["model", "input", "prompt", "options", "keep_alive", "dimensions", "encoding_format"]), inner),
    max_leaves=8).map(lambda value: json.dumps(value).encode())))
def test_whatever_comes_is_read_or_a_bad_request(form: EmbeddingDialect, body: bytes) -> None:
    with suppress(BadRequest):
        assert isinstance(form.parse(body), EmbedRequest)
