"""Vectors from an API, through LiteLLM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from moe.backends.api import Api
from moe.core import Embedded, EmbedRequest
from moe.errors import BackendError, UpstreamFailure
from tests.backends.rig import MODEL, Rig
from tests.fakes import hang, http_error
from tests.fakes.speech import embed


def make(rig: Rig, *inputs: Any, **more: Any) -> Embedded:
    assert isinstance(rig.backend, Api)
    steps: Iterator[object] = rig.backend.embed(EmbedRequest(model=MODEL, inputs=inputs, **more))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            assert isinstance(end.value, Embedded)
            return end.value


def test_texts_become_rows_in_order(api: Rig) -> None:
    made = make(api, "one", "two words")
    assert made.rows == [pytest.approx(embed(text, 16), abs=1e-6) for text in ("one", "two words")]
    assert made.tokens > 0


def test_tokens_and_dimensions_are_passed_on_as_they_are(api: Rig) -> None:
    made = make(api, (1, 2), (3,), dimensions=5)
    assert [len(row) for row in made.rows] == [5, 5]
    (sent,) = api.upstream.requests_to("/v1/embeddings")
    assert sent.json is not None
    assert (sent.json["input"], sent.json["dimensions"], sent.json["model"]) == ([[1, 2], [3]], 5, MODEL)


def test_an_error_of_the_api_keeps_its_status(api: Rig) -> None:
    api.upstream.script(MODEL, [http_error(429)])
    with pytest.raises(UpstreamFailure) as failed:
        make(api, "one")
    assert failed.value.upstream_status == 429
    api.upstream.script(MODEL, [http_error(400, message="too long")])
    with pytest.raises(BackendError, match="too long"):
        make(api, "one")


def test_whoever_waits_hears_that_nothing_came_yet_and_may_give_up(api: Rig) -> None:
    api.upstream.script(MODEL, [hang()])
    assert isinstance(api.backend, Api)
    steps = api.backend.embed(EmbedRequest(model=MODEL, inputs=("one",)))
    next(steps)
    api.upstream.wait_for_requests(1)
    next(steps)
    steps.close()
    assert len(api.upstream.requests_to("/v1/embeddings")) == 1
