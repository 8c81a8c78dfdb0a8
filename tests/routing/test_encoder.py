"""The router with the encoder that set-up made, where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moe.embed import load_embedder
from moe.routing import NoModels, Router, build_router

from .kit import CHEF, CODER, DOCTOR, FALLBACK, ask, make_config

MODELS = Path(__file__).parents[2] / "models"

pytestmark = pytest.mark.skipif(not (MODELS / "encoder" / "current").is_file(), reason="set-up has made no encoder")


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Router:
    return build_router(make_config(FALLBACK, CODER, DOCTOR, CHEF), models=NoModels(),
                        embedder=load_embedder(None, MODELS), cache_folder=tmp_path_factory.mktemp("vectors"))


@pytest.mark.parametrize(("prompt", "label"), [
    ("My program crashes with a stack trace, how do I debug it?", "coder"),
    ("I have a sore throat and feel dizzy", "doctor"),
    ("How long do I boil potatoes?", "chef"),
])
def test_meaning_finds_the_expert_without_any_of_its_keywords(router: Router, prompt: str, label: str) -> None:
    decision = router.decide(ask(prompt))
    assert (decision.expert.label, decision.stage) == (label, "embedding")


@pytest.mark.parametrize("follow_up", ["make it shorter", "thanks, and now explain it", "why?", "try again"])
def test_a_follow_up_stays_with_the_expert_of_its_question(router: Router, follow_up: str) -> None:
    decision = router.decide(ask("Write a Python function that reverses a linked list", follow_up))
    assert decision.expert.label == "coder"


def test_a_change_of_topic_changes_the_expert(router: Router) -> None:
    decision = router.decide(ask("Write a Python function that reverses a list", "I have a headache and a fever"))
    assert (decision.expert.label, decision.stage) == ("doctor", "embedding")


def test_a_vector_does_not_depend_on_the_texts_beside_it() -> None:
    encoder = load_embedder(None, MODELS)
    assert encoder is not None
    texts = ["soup", "why is the sky blue in the evening?", "fix my python code"]
    together = encoder.embed(texts, kind="passage")
    alone = [encoder.embed([text], kind="passage")[0] for text in texts]
    assert np.array_equal(together, np.stack(alone))
