from __future__ import annotations

import msgspec
import pytest

from moe.errors import ModelNotFound
from moe.routing.names import Names

from .kit import TEAM, FewModels, make_config

MODELS = FewModels("llama3:latest", "gpt-oss:20b", "auto")
NAMES = Names(make_config(), MODELS)


@pytest.mark.parametrize("model", ["coder", "CODER", " Coder ", "coder:latest", "dev", "Dev:latest"])
def test_a_label_or_alias_names_its_expert(model: str) -> None:
    decision = NAMES.resolve(model)
    assert decision is not None
    assert (decision.expert.label, decision.stage, decision.confidence) == ("coder", "explicit", 1.0)
    assert not decision.virtual


def test_the_fallback_may_be_named() -> None:
    decision = NAMES.resolve("fallback")
    assert decision is not None and decision.expert.is_fallback and decision.stage == "explicit"


@pytest.mark.parametrize(("asked", "found"), [("llama3", "llama3:latest"), ("gpt-oss:20b", "gpt-oss:20b")])
def test_an_upstream_model_is_answered_by_itself(asked: str, found: str) -> None:
    decision = NAMES.resolve(asked)
    assert decision is not None
    assert (decision.stage, decision.model, decision.expert.label) == ("raw", found, found)
    assert (decision.expert.id, decision.expert.type, decision.expert.model_name) == (-1, "ollama", found)


@pytest.mark.parametrize("model", ["", "  ", "lemoe", "LeMoE", "lemoe:latest", "moe", "auto", "gpt-4o", "GPT-3.5-turbo",
                                   "gpt-oss:120b", "claude-sonnet-4", "o1", "o3-mini"])
def test_a_virtual_name_leaves_the_choice_to_the_router(model: str) -> None:
    assert NAMES.resolve(model) is None


@pytest.mark.parametrize("model", ["gpt", "mygpt-4", "claude", "ollama", "o", "../../etc/passwd", "phi4", "null"])
def test_an_unknown_name_is_not_found(model: str) -> None:
    with pytest.raises(ModelNotFound, match="not found"):
        NAMES.resolve(model)


def test_unknown_names_are_routed_where_the_config_says_so() -> None:
    assert Names(make_config(unknown_model="route"), MODELS).resolve("phi4") is None


def test_an_expert_may_claim_a_cloud_models_name() -> None:
    claimed = [msgspec.structs.replace(expert, aliases=("gpt-4o",)) if expert.label == "chef" else expert
               for expert in TEAM]
    decision = Names(make_config(*claimed), MODELS).resolve("GPT-4o")
    assert decision is not None and decision.expert.label == "chef"
