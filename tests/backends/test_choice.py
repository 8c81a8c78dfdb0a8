"""`model_name: "auto"`: the right model for each expert out of what a node has."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.backends.choice import PREFERENCES, choose
from moe.backends.inventory import UpstreamModel
from moe.experts import Expert

GB = 10**9
SIGHT = ("completion", "vision")


def model(name: str, **fields: object) -> UpstreamModel:
    billions = float(name.rsplit(":", 1)[-1].rstrip("b") or 4) if name.endswith("b") and ":" in name else 4.0
    given = {"name": name, "size": int(billions * 0.6 * GB), "capabilities": ("completion",), **fields}
    return UpstreamModel(**given)  # type: ignore[arg-type]


def expert(label: str, number: int = 1, **fields: object) -> Expert:
    return Expert(id=number, label=label, model_name="auto", **fields)  # type: ignore[arg-type]


def pick(label: str, models: Iterable[UpstreamModel], *, loaded: Iterable[str] = (), **fields: object) -> str | None:
    return choose([expert(label, **fields)], models, loaded=dict.fromkeys(loaded), memory_bytes=0).get(label)


@pytest.mark.parametrize(("label", "has", "best"), [
    ("general", ["llama3.1:8b", "gemma3:27b", "phi4:14b"], "gemma3:27b"),
    ("math", ["gemma3:27b", "phi4:14b", "qwq:32b"], "phi4:14b"),
    ("code_reviewer", ["gemma3:27b", "devstral:24b", "qwen3-coder:30b"], "devstral:24b"),
    ("technical_support", ["gemma3:27b", "deepseek-coder-v2:16b", "devstral:24b"], "deepseek-coder-v2:16b"),
    ("translation", ["gemma3:27b", "translategemma:27b"], "translategemma:27b"),
    ("legal_advisor", ["gemma3:27b", "magistral:24b"], "magistral:24b"),
    ("reasoning", ["gemma3:27b", "deepseek-r1:32b"], "deepseek-r1:32b"),
    ("a label nobody thought of", ["phi4:14b", "gemma3:27b"], "gemma3:27b"),
    ("general", ["qwen2.5-coder:7b", "unheard-of:7b"], "unheard-of:7b"),
    ("general", ["gemma3:0.3b", "unheard-of:7b"], "unheard-of:7b"),
    ("general", ["gemma3:4b", "gemma3:12b"], "gemma3:12b"),
    ("general", ["unheard-of:70b", "unknown:9b"], "unknown:9b"),
    ("general", ["team/gemma3:12b", "unknown:9b"], "team/gemma3:12b"),
])
def test_the_preferred_model_is_taken(label: str, has: list[str], best: str) -> None:
    assert pick(label, [model(name) for name in has]) == best
    assert pick(label, [model(name) for name in reversed(has)]) == best


def test_a_deep_tier_may_take_a_large_model_it_does_not_know() -> None:
    models = [model("unheard-of:70b"), model("unknown:9b")]
    assert pick("general", models, tier=2) == "unheard-of:70b"


def test_a_model_already_loaded_is_preferred() -> None:
    models = [model("gemma3:27b"), model("phi4:14b")]
    assert pick("math", models, loaded=["gemma3:27b"]) == "gemma3:27b"


def test_where_all_choices_fit_nothing_is_swapped_and_each_expert_gets_its_own_best() -> None:
    models = [model("gemma3:27b"), model("phi4:14b")]
    experts = [expert("general", 1), expert("math", 2)]
    for loaded in ([], ["gemma3:27b"], ["phi4:14b"]):
        chosen = choose(experts, models, loaded=dict.fromkeys(loaded), memory_bytes=64 * GB)
        assert chosen["math"] == "phi4:14b"
        assert chosen["general"] == (loaded or ["gemma3:27b"])[0]
    crowded = choose(experts, models, loaded={"gemma3:27b": None}, memory_bytes=20 * GB)
    assert crowded == {"general": "gemma3:27b", "math": "gemma3:27b"}


def test_a_real_specialist_is_worth_a_swap() -> None:
    models = [model("gemma3:27b"), model("devstral:24b")]
    assert pick("code_reviewer", models, loaded=["gemma3:27b"]) == "devstral:24b"


def test_a_specialist_of_another_subject_is_not_preferred_even_when_loaded() -> None:
    models = [model("unheard-of:7b"), model("devstral:24b")]
    assert pick("creative_writer", models, loaded=["devstral:24b"]) == "unheard-of:7b"
    assert pick("creative_writer", models[1:]) == "devstral:24b"


def test_a_tiny_model_is_not_kept_for_being_loaded() -> None:
    assert pick("general", [model("gemma3:0.3b"), model("llama3.1:8b")], loaded=["gemma3:0.3b"]) == "llama3.1:8b"


def test_sight_needs_a_model_that_sees() -> None:
    blind, seeing = model("gemma3:27b"), model("unheard-of:7b", capabilities=SIGHT)
    assert pick("vision", [blind, seeing], vision=True) == "unheard-of:7b"
    assert pick("vision", [blind], vision=True) is None


def test_an_embedder_is_never_chosen() -> None:
    assert pick("general", [model("nomic-embed-text", capabilities=("embedding",))]) is None
    assert pick("general", [model("snowflake-arctic-embed", capabilities=())]) is None


def test_a_cloud_model_needs_permission_and_is_the_last_choice_even_then() -> None:
    cloud, here = model("gemma3:27b", is_remote=True), model("unheard-of:1b")
    assert pick("general", [cloud]) is None
    assert pick("general", [cloud], allow_cloud=True) == "gemma3:27b"
    assert pick("general", [cloud, here], allow_cloud=True) == "unheard-of:1b"


# All together


TEAM = [expert("fallback", 0), expert("vision", 20, vision=True),
        *(expert(label, number) for number, label in enumerate(PREFERENCES, 1) if label != "vision")]


def test_all_share_the_generalist_when_no_more_fits() -> None:
    models = [model("gemma3:27b", capabilities=SIGHT), model("phi4:14b"), model("magistral:24b")]
    chosen = choose(TEAM, models, loaded={}, memory_bytes=20 * GB)
    assert set(chosen.values()) == {"gemma3:27b"}
    assert set(chosen) == {member.label for member in TEAM}


def test_with_room_for_more_each_takes_its_own() -> None:
    models = [model("gemma3:27b", capabilities=SIGHT), model("phi4:14b"), model("magistral:24b")]
    chosen = choose(TEAM, models, loaded={}, memory_bytes=100 * GB)
    assert (chosen["math"], chosen["legal_advisor"], chosen["general"]) == ("phi4:14b", "magistral:24b", "gemma3:27b")


def test_a_specialist_may_come_on_top_of_a_full_memory() -> None:
    models = [model("gemma3:27b"), model("devstral:24b")]
    chosen = choose(TEAM, models, loaded={}, memory_bytes=17 * GB)
    assert (chosen["code_reviewer"], chosen["general"]) == ("devstral:24b", "gemma3:27b")


def test_a_model_larger_than_the_memory_is_the_last_choice() -> None:
    models = [model("gemma3:27b"), model("unheard-of:3b")]
    assert choose(TEAM, models, loaded={}, memory_bytes=8 * GB)["general"] == "unheard-of:3b"
    assert choose(TEAM, models[:1], loaded={}, memory_bytes=8 * GB)["general"] == "gemma3:27b"


def test_the_size_is_taken_from_wherever_it_can_be_read() -> None:
    by_details = model("plain", parameter_size="7.6B", size=0)
    tiny = model("small", parameter_size="350M", size=0)
    by_file = UpstreamModel(name="file", size=5 * GB, capabilities=("completion",))
    assert pick("general", [tiny, by_details]) == "plain"
    assert pick("general", [tiny, by_file]) == "file"


names = st.sampled_from(["gemma3:27b", "phi4:14b", "devstral:24b", "qwq:32b", "tiny:0.5b", "odd", "nomic-embed-text"])
capabilities = st.sampled_from([(), ("completion",), SIGHT, ("embedding",)])
models = st.lists(
    st.builds(model, names, capabilities=capabilities, is_remote=st.booleans()), max_size=7, unique_by=lambda m: m.name
)


@given(models, st.lists(names, max_size=3), st.integers(0, 60 * GB), st.booleans())
def test_whatever_a_node_has_nobody_gets_what_he_may_not_have(
    has: list[UpstreamModel], loaded: list[str], memory_bytes: int, allow_cloud: bool
) -> None:
    team = [expert(member.label, member.id, vision=member.vision, allow_cloud=allow_cloud) for member in TEAM]
    chosen = choose(team, has, loaded=dict.fromkeys(loaded), memory_bytes=memory_bytes)
    known = {each.name: each for each in has}
    for member in team:
        allowed = [m for m in has if m.can_chat and (allow_cloud or not m.is_remote)
                   and (not member.vision or "vision" in m.capabilities)]
        assert (member.label in chosen) is bool(allowed)
        if allowed:
            assert known[chosen[member.label]] in allowed
