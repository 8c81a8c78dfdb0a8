"""`model_name: "auto"`: the right model for each expert out of what a node has."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.backends.choice import PREFERENCES, Room, choose, rank_tier
from moe.backends.inventory import UpstreamModel
from moe.config.settings import ROOT
from moe.experts import TIERS, Expert, Tier

GB = 10**9
SIGHT = ("completion", "vision")


def model(name: str, **fields: object) -> UpstreamModel:
    billions = float(name.rsplit(":", 1)[-1].rstrip("b") or 4) if name.endswith("b") and ":" in name else 4.0
    given = {"name": name, "size": int(billions * 0.6 * GB), "capabilities": ("completion",), **fields}
    return UpstreamModel(**given)  # type: ignore[arg-type]


def expert(label: str, number: int = 1, **fields: object) -> Expert:
    return Expert(id=number, label=label, model_name="auto", **fields)  # type: ignore[arg-type]


def room_of(size: int) -> Room:
    return Room(together=size, at_most=size)


def pick(label: str, models: Iterable[UpstreamModel], *, loaded: Iterable[str] = (), **fields: object) -> str | None:
    return choose([expert(label, **fields)], models, loaded=set(loaded), room=Room()).get(label)


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
        chosen = choose(experts, models, loaded=set(loaded), room=room_of(64 * GB))
        assert chosen["math"] == "phi4:14b"
        assert chosen["general"] == (loaded or ["gemma3:27b"])[0]
    crowded = choose(experts, models, loaded={"gemma3:27b"}, room=room_of(20 * GB))
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
    chosen = choose(TEAM, models, loaded=(), room=room_of(20 * GB))
    assert set(chosen.values()) == {"gemma3:27b"}
    assert set(chosen) == {member.label for member in TEAM}


def test_with_room_for_more_each_takes_its_own() -> None:
    models = [model("gemma3:27b", capabilities=SIGHT), model("phi4:14b"), model("magistral:24b")]
    chosen = choose(TEAM, models, loaded=(), room=room_of(100 * GB))
    assert (chosen["math"], chosen["legal_advisor"], chosen["general"]) == ("phi4:14b", "magistral:24b", "gemma3:27b")


def test_a_specialist_may_come_on_top_of_a_full_memory() -> None:
    models = [model("gemma3:27b"), model("devstral:24b")]
    chosen = choose(TEAM, models, loaded=(), room=room_of(17 * GB))
    assert (chosen["code_reviewer"], chosen["general"]) == ("devstral:24b", "gemma3:27b")


def test_a_model_larger_than_the_memory_is_the_last_choice() -> None:
    models = [model("gemma3:27b"), model("unheard-of:3b")]
    assert choose(TEAM, models, loaded=(), room=room_of(8 * GB))["general"] == "unheard-of:3b"
    assert choose(TEAM, models[:1], loaded=(), room=room_of(8 * GB))["general"] == "gemma3:27b"


def test_the_size_is_taken_from_wherever_it_can_be_read() -> None:
    by_details = model("plain", parameter_size="7.6B", size=0)
    tiny = model("small", parameter_size="350M", size=0)
    by_file = UpstreamModel(name="file", size=5 * GB, capabilities=("completion",))
    assert pick("general", [tiny, by_details]) == "plain"
    assert pick("general", [tiny, by_file]) == "file"


# Tiers

AUTO = {"models": {"1": "auto", "2": "auto"}}
ROOMY = room_of(900 * GB)


def rank(
    label: str, wanted: Tier, has: Iterable[UpstreamModel], *, loaded: Iterable[str] = (), room: Room = ROOMY,
    **fields: object,
) -> list[str]:
    one, has, held = expert(label, **{**AUTO, **fields}), list(has), set(loaded)
    team = [one, expert("general", 50, tier=2)]
    chosen = choose(team, has, loaded=held, room=room)
    return list(rank_tier(one, wanted, has, chosen=chosen, loaded=held, room=room))


@pytest.mark.parametrize(("label", "has", "first", "second"), [
    ("math", ["phi4:14b", "gemma3:27b", "qwq:32b", "gemma3:4b"], ["phi4:14b", "gemma3:4b"], ["qwq:32b", "gemma3:27b"]),
    ("reasoning", ["llama3.3:70b", "deepseek-r1:32b", "qwen3:8b"], ["qwen3:8b"], ["deepseek-r1:32b", "llama3.3:70b"]),
    ("math", ["mixtral:8x7b-q4_0", "phi4:14b"], ["phi4:14b"], ["mixtral:8x7b-q4_0"]),
    ("math", ["gemma3:4b"], ["gemma3:4b"], []),
    ("math", ["gemma3:27b"], [], ["gemma3:27b"]),
    ("math", ["gemma3:20b", "gemma3:20.1b"], ["gemma3:20b"], ["gemma3:20.1b"]),
    ("medical_consult", ["qwen2.5-coder:7b", "gemma3:27b"], [], ["gemma3:27b"]),
    ("medical_consult", ["qwen2.5-coder:7b", "devstral:24b"], ["qwen2.5-coder:7b"], ["devstral:24b"]),
    ("medical_consult", ["tiny:0.5b", "gemma3:27b"], [], ["gemma3:27b"]),
    ("medical_consult", ["tiny:0.5b"], ["tiny:0.5b"], []),
    ("technical_support", ["devstral:24b", "gemma3:4b"], ["gemma3:4b"], ["devstral:24b"]),
    ("math", ["nomic-embed-text:7b"], [], []),
])
def test_the_models_of_a_tier_are_those_of_its_size_the_preferred_first(
    label: str, has: list[str], first: list[str], second: list[str]
) -> None:
    models = [model(name, capabilities=("embedding",) if "embed" in name else ("completion",)) for name in has]
    for order in (models, models[::-1]):
        assert rank(label, 1, order) == first
        assert rank(label, 2, order) == second


def test_a_tier_needs_sight_or_permission_as_any_choice_does() -> None:
    models = [model("llava:7b", capabilities=SIGHT), model("gemma3:4b"), model("gpt-oss:120b", is_remote=True)]
    assert rank("vision", 1, models, vision=True) == ["llava:7b"]
    assert rank("math", 2, models) == []
    assert rank("math", 2, models, allow_cloud=True) == ["gpt-oss:120b"]


def test_what_has_no_size_is_of_the_everyday_tier() -> None:
    unknown = model("odd", size=0)
    assert (rank("math", 1, [unknown]), rank("math", 2, [unknown])) == (["odd"], [])
    assert (rank("math", 1, [unknown], tier=2), rank("math", 2, [unknown], tier=2)) == ([], ["odd"])


def test_an_expert_with_two_tiers_gets_the_model_of_its_everyday_one() -> None:
    has = [model("gemma3:4b"), model("gemma3:27b"), model("qwq:32b")]
    team = [expert("math", 1, **AUTO), expert("reasoning", 2, **AUTO, tier=2), expert("general", 3, tier=2)]
    chosen = choose(team, has, loaded=set(), room=ROOMY)
    assert chosen == {"math": "gemma3:4b", "reasoning": "qwq:32b", "general": "gemma3:27b"}


def test_the_everyday_tier_does_not_take_turns_in_memory_with_what_all_share() -> None:
    has = [model("phi4:14b"), model("gemma3:27b")]
    tight = room_of(20 * GB)
    assert rank("math", 1, has, room=tight) == []
    assert rank("math", 2, has, room=tight) == ["gemma3:27b"]
    assert rank("math", 1, has, room=room_of(26 * GB)) == ["phi4:14b"]


def test_a_second_tier_is_worth_a_swap_but_the_one_in_memory_comes_first() -> None:
    has = [model("gemma3:4b"), model("qwq:32b"), model("unheard-of:30b")]
    tight = Room(together=20 * GB, at_most=20 * GB)
    assert rank("math", 2, has, room=tight, loaded=["gemma3:4b"]) == ["qwq:32b", "unheard-of:30b"]
    assert rank("math", 2, has, room=tight, loaded=["unheard-of:30b"])[0] == "unheard-of:30b"


def test_a_model_larger_than_the_memory_is_no_tier_where_another_fits_unless_it_is_in_memory() -> None:
    has = [model("gemma3:4b"), model("gemma3:27b")]
    small = room_of(8 * GB)
    assert (rank("math", 1, has, room=small), rank("math", 2, has, room=small)) == (["gemma3:4b"], [])
    assert rank("math", 2, has, room=small, loaded=["gemma3:27b"]) == ["gemma3:27b"]
    assert rank("math", 2, has[1:], room=small) == ["gemma3:27b"]


def test_nodes_together_hold_more_than_the_largest_of_them() -> None:
    has = [model("phi4:14b"), model("gemma3:27b")]
    rack = Room(together=48 * GB, at_most=24 * GB)
    assert (rank("math", 1, has, room=rack), rank("math", 2, has, room=rack)) == (["phi4:14b"], ["gemma3:27b"])
    assert rank("math", 2, [*has, model("llama3.3:70b")], room=rack) == ["gemma3:27b"]


# The experts that are shipped

ONE, SMALL = ["gemma3:4b"], ["gemma3:4b", "phi4:14b"]
RACK = ["phi4:14b", "gemma3:27b", "qwq:32b", "devstral:24b", "magistral:24b", "translategemma:27b", "llama3.3:70b",
        "deepseek-coder-v2:16b", "deepseek-r1:32b", "gemma3:4b"]


def shipped() -> list[Expert]:
    text = (ROOT / "config" / "experts.example.json").read_bytes()
    return msgspec.convert(msgspec.json.decode(text)["experts"], list[Expert])


def test_the_shipped_experts_have_the_tiers_of_their_domains() -> None:
    both = {"math", "technical_support", "medical_consult", "reasoning"}
    tiers = {each.label: each.tiers for each in shipped() if not each.is_fallback}
    assert {label for label, each in tiers.items() if each == TIERS} == both
    assert {label for label, each in tiers.items() if each == (1,)} == {"data_analyst"}
    assert {label for label, each in tiers.items() if each == (2,)} == set(PREFERENCES) - both - {"data_analyst"}


@pytest.mark.parametrize("label", ["math", "technical_support", "medical_consult", "reasoning"])
@pytest.mark.parametrize(("has", "room", "first", "second"), [
    (ONE, 13, {"gemma3:4b"}, set()),
    (SMALL, 13, {"gemma3:4b", "phi4:14b"}, set()),
    (RACK, 400, {"phi4:14b", "deepseek-coder-v2:16b"}, {"qwq:32b", "devstral:24b", "gemma3:27b", "deepseek-r1:32b"}),
])
def test_the_shipped_experts_have_sensible_tiers_on_any_machine(
    label: str, has: list[str], room: int, first: set[str], second: set[str]
) -> None:
    models = [model(name, capabilities=SIGHT if name.startswith("gemma3") else ("completion",)) for name in has]
    team, limits = shipped(), room_of(room * GB)
    chosen = choose(team, models, loaded=set(), room=limits)
    one = next(each for each in team if each.label == label)
    best = [next(iter(rank_tier(one, tier, models, chosen=chosen, loaded=set(), room=limits)), None) for tier in TIERS]
    assert best[0] in first
    assert best[1] in second if second else best[1] is None
    assert chosen[label] == best[0]


def test_on_a_rack_the_shipped_experts_get_their_own_large_models() -> None:
    models = [model(name, capabilities=SIGHT if name.startswith("gemma3") else ("completion",)) for name in RACK]
    chosen = choose(shipped(), models, loaded=set(), room=room_of(400 * GB))
    assert {label: chosen[label] for label in ("general", "code_reviewer", "legal_advisor", "translation", "science",
                                               "vision", "data_analyst")} == {
        "general": "gemma3:27b", "code_reviewer": "devstral:24b", "legal_advisor": "magistral:24b",
        "translation": "translategemma:27b", "science": "gemma3:27b", "vision": "gemma3:27b",
        "data_analyst": "phi4:14b"}


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
    chosen = choose(team, has, loaded=set(loaded), room=room_of(memory_bytes))
    known = {each.name: each for each in has}
    for member in team:
        allowed = [m for m in has if m.can_chat and (allow_cloud or not m.is_remote)
                   and (not member.vision or "vision" in m.capabilities)]
        assert (member.label in chosen) is bool(allowed)
        if allowed:
            assert known[chosen[member.label]] in allowed
