"""Models for each tier of an expert."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from moe.config import read_config
from moe.config.settings import ROOT
from moe.experts import TIERS, Expert, TierKey
from tests.config.files import FALLBACK, expert, problems_of, warnings_of, write_folder


def with_models(**more: Any) -> dict[str, Any]:
    """An expert that leaves `model_name` out."""
    return {key: value for key, value in expert(1, "math", **more).items() if key != "model_name" or key in more}


@pytest.mark.parametrize(("more", "tiers", "named", "by_tier"), [
    ({"models": {"1": "phi4:14b", "2": "auto"}}, (1, 2), "phi4:14b", ("phi4:14b", "auto")),
    ({"models": {"1": "phi4:14b", "2": "auto"}, "tier": 2}, (1, 2), "auto", ("phi4:14b", "auto")),
    ({"models": {"2": "llama3.3:70b"}}, (2,), "llama3.3:70b", ("llama3.3:70b", "llama3.3:70b")),
    ({"models": {"1": "phi4:14b"}}, (1,), "phi4:14b", ("phi4:14b", "phi4:14b")),
    ({"models": {"1": "a", "2": "b"}, "model_name": "b"}, (1, 2), "b", ("a", "b")),
    ({"model_name": "x", "tier": 2}, (2,), "x", ("x", "x")),
    ({"model_name": "x"}, (), "x", ("x", "x")),
])
def test_an_expert_has_a_model_for_each_tier(
    more: dict[str, Any], tiers: tuple[int, ...], named: str, by_tier: tuple[str, str]
) -> None:
    found = Expert(id=1, label="math", **more)
    assert found.tiers == tiers
    assert found.model_name == named
    assert tuple(found.model_of(tier) for tier in TIERS) == by_tier


def test_the_config_is_read_without_a_warning(tmp_path: Any) -> None:
    folder = write_folder(tmp_path, experts=[FALLBACK, with_models(
        models={"1": "phi4:14b", "2": "auto"})])
    assert warnings_of(folder) == ()
    found = read_config(folder).expert("math")
    assert found is not None
    assert found.model_of(2) == "auto"


def test_an_api_expert_may_leave_model_name_out_too(tmp_path: Any) -> None:
    found = read_config(write_folder(tmp_path, experts=[FALLBACK, with_models(type="api", models={"2": "gpt-5"})]))
    assert [expert.model_name for expert in found.experts if expert.type == "api"] == ["gpt-5"]


@pytest.mark.parametrize(("more", "told"), [
    ({"models": {"3": "a"}}, '$.experts[1].models (expert "math"): each key must be "1" or "2"'),
    ({"models": {"1": 5}}, '$.experts[1].models (expert "math"): expected str, got int'),
    ({"models": {"1": " "}},
         '$.experts[1].models.1 (expert "math"): must name a model; a tier that has none is left out'),
    ({"models": {"1": "auto"}, "type": "api"},
         '$.experts[1].models.1 (expert "math"): "auto" chooses among the models of an '
                                               'Ollama; an api expert needs a name'),
    ({"models": {"1": "a"}, "type": "local", "model_path": "a.gguf"},
     '$.experts[1].models (expert "math"): a model for each tier is for experts of type "ollama" or "api", '
     'not "local"'),
    ({"models": {"1": "a"}, "model_name": "b"},
         '$.experts[1].model_name (expert "math"): "b" is the model of no tier in '
                                                '"models"; leave it out, or name it there too'),
    ({"models": {"1": "a"}, "tier": 2}, '$.experts[1].tier (expert "math"): "models" names no model for tier 2'),
    ({"model_name": "a", "tier": 3}, '$.experts[1].tier (expert "math"): must be 1 or 2'),
    ({"model_name": "a", "tier": "2"}, '$.experts[1].tier (expert "math"): must be 1 or 2'),
])
def test_what_does_not_fit_together_is_told_with_its_place(tmp_path: Any, more: dict[str, Any], told: str) -> None:
    (problem,) = problems_of(write_folder(tmp_path, experts=[FALLBACK, with_models(**more)]))
    assert problem.partition(": at ")[2].startswith(told)


def test_the_schema_knows_the_tiers() -> None:
    schema = json.loads((ROOT / "config" / "schema.json").read_text(encoding="utf-8"))
    told = schema["$defs"]["Expert"]["properties"]["models"]["propertyNames"]["enum"]
    assert told == list(get_args(TierKey)) == [str(tier) for tier in TIERS]
