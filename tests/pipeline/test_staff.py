"""Who is given which work: tiers, those that are down, prompts that stay at home, and what past answers say."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from moe.backends.builtin import Builtin
from moe.backends.echo import Echo
from moe.config import Config, MemoryConfig
from moe.config.schema import EngineConfig, PipelineConfig, RateLimitConfig, RouterConfig, RunnerConfig, ServerConfig
from moe.core import Decision
from moe.errors import BackendError
from moe.experts import Expert, Tier
from moe.pipeline.breaker import Breaker
from moe.pipeline.lineup import Lineup
from moe.pipeline.staff import Staff
from tests.fakes import FakeOllama, fake_ollama
from tests.pipeline.test_gateway import gateway_of

FALLBACK = Expert(id=0, label="fallback", model_name="small:4b")
SIZES = {"4b": 1, "7b": 1, "14b": 1, "27b": 2, "32b": 2, "70b": 2}


class Way(Echo):
    """A way to models of which some are down; `leaves`: it leads off the user's machines."""

    def __init__(self, down: set[str], *, leaves: bool = False) -> None:
        self._down = down
        self._leaves = leaves

    def trouble(self, model: str) -> str:
        return "unreachable" if model in self._down else ""

    def is_remote(self, model: str) -> bool:
        return self._leaves


class Known:
    """What there is for each tier, as it is told by the experts; "auto" means `has`."""

    def __init__(self, has: Sequence[str]) -> None:
        self._has = has

    def models_for(self, expert: Expert, tier: Tier) -> Sequence[str]:
        named = expert.models.get("1" if tier == 1 else "2", "") if expert.models else expert.model_name
        names = self._has if named == "auto" else tuple(filter(None, named.split()))
        if expert.models:
            return tuple(name for name in names if named != "auto" or self.tier_of(expert, name) == tier)
        return tuple(name for name in names[:1] if (expert.tier or self.tier_of(expert, name) or 1) == tier)

    def tier_of(self, expert: Expert, model: str) -> Tier | None:
        return SIZES.get(model.rpartition(":")[2])  # type: ignore[return-value]


class Ranking:
    """Which model did best, by domain."""

    def __init__(self, **best: str) -> None:
        self._best = best

    def best(self, models: Sequence[str], domain: str) -> str:
        return self._best[domain] if self._best.get(domain) in models else next(iter(models), "")


class House:
    """A staff whose models can be put out of work."""

    def __init__(
        self, *experts: Expert, has: Sequence[str] = (), scores: Ranking | None = None, **limits: Any
    ) -> None:
        experts = experts if any(each.is_fallback for each in experts) else (FALLBACK, *experts)
        self.down: set[str] = set()
        ways = {each.label: Builtin() if each.type == "builtin" else Way(self.down, leaves=each.type == "api")
                for each in experts}
        known = Known(has)

        def model_of(expert: Expert, *, fresh: bool = True) -> str:
            tiers: tuple[Tier, ...] = (expert.own_tier, 2 if expert.own_tier == 1 else 1)
            return next((model for tier in tiers for model in known.models_for(expert, tier)), "")

        self.lineup = Lineup(
            {each.label: each for each in experts}, ways, raw=Way(self.down), model_of=model_of, stand_ins=list,
            new_breaker=lambda: Breaker(failures=1, cooldown_s=60, clock=time.monotonic),
        )
        self.staff = Staff(_config(*experts, limits=PipelineConfig(**limits)), self.lineup, known, scores)

    def fail(self, expert: Expert, model: str) -> None:
        """As when a request to it failed again and again."""
        alone = Decision(expert=expert, stage="context", confidence=1, model=model, is_alone=True)
        next(self.lineup.candidates(alone)).breaker.fail()


def _config(*experts: Expert, limits: PipelineConfig) -> Config:
    return Config(
        router=RouterConfig(model_path=""), ai_engine=EngineConfig(), memory=MemoryConfig(), pipeline=limits,
        expert_runner=RunnerConfig(), server=ServerConfig(), rate_limit=RateLimitConfig(), log_prompts=False,
        experts=experts, folder=Path("config"), files=(),
    )


def expert(label: str = "math", number: int = 1, **fields: Any) -> Expert:
    return Expert(**{"id": number, "label": label, **fields})


def told(decision: Decision | None) -> tuple[str, str, int | None] | None:
    return None if decision is None else (decision.expert.label, decision.model, decision.tier)


BOTH: Mapping[str, str] = {"1": "small:4b", "2": "large:27b"}
TWO = expert(models=BOTH)


# Tiers


@pytest.mark.parametrize(("fields", "tier", "model", "found"), [
    ({"models": BOTH}, 1, "small:4b", 1),
    ({"models": BOTH}, 2, "large:27b", 2),
    ({"models": BOTH}, None, "small:4b", 1),
    ({"models": BOTH, "tier": 2}, None, "large:27b", 2),
    ({"models": {"2": "large:27b"}}, 1, "large:27b", 2),
    ({"models": {"1": "small:4b"}}, 2, "small:4b", 1),
    ({"model_name": "small:4b"}, None, "small:4b", 1),
    ({"model_name": "small:4b"}, 2, "small:4b", 1),
    ({"model_name": "small:4b", "tier": 2}, 1, "small:4b", 2),
    ({"model_name": "large:27b"}, 1, "large:27b", 2),
    ({}, 1, "", None),
])
def test_an_absent_tier_uses_the_other(
    fields: dict[str, Any], tier: Tier | None, model: str, found: int | None
) -> None:
    one = expert(**fields)
    staff = House(one).staff
    assert told(staff.assign(one, tier=tier)) == ("math", model, found)
    decision = Decision(expert=one, stage="embedding", confidence=0.5, tier=tier, virtual=True, strategy="escalate")
    equipped = staff.equip(decision)
    assert (equipped.model, equipped.tier) == (("", None) if tier is None else (model, found))
    assert (equipped.stage, equipped.strategy, equipped.virtual) == ("embedding", "escalate", True)
    chosen = Decision(expert=one, stage="raw", confidence=1, model="named:1b", tier=1)
    assert staff.equip(chosen) is chosen


def test_who_is_assigned_stands_alone_only_where_that_is_said() -> None:
    staff = House(TWO).staff
    assert staff.assign(TWO, tier=2, confidence=0.4, is_alone=True) == Decision(
        expert=TWO, stage="context", confidence=0.4, model="large:27b", tier=2, is_alone=True)
    assert not staff.assign(TWO).is_alone


@pytest.mark.parametrize(("models", "has", "has_two"), [
    (BOTH, (), True), ({"1": "a:4b", "2": "a:4b"}, (), False), ({"1": "a:4b"}, (), False),
    ({"1": "auto", "2": "auto"}, ("a:4b",), False), ({"1": "auto", "2": "auto"}, ("a:4b", "b:70b"), True),
])
def test_two_tiers_have_two_models(models: dict[Any, str], has: tuple[str, ...], has_two: bool) -> None:
    one = expert(models=models)
    assert House(one, has=has).staff.has_two(one) is has_two


@pytest.mark.parametrize("way", ["down", "fail"])
def test_a_model_that_is_down_is_given_no_work_while_another_can_do_it(way: str) -> None:
    house = House(TWO)

    def lose(model: str) -> None:
        house.down.add(model) if way == "down" else house.fail(TWO, model)

    lose("small:4b")
    assert told(house.staff.assign(TWO, tier=1)) == ("math", "large:27b", 2)
    assert not house.staff.has_two(TWO)
    lose("large:27b")
    assert told(house.staff.assign(TWO, tier=2)) == ("math", "large:27b", 2)  # then it is asked all the same
    assert told(house.staff.assign(TWO, tier=1)) == ("math", "small:4b", 1)
    assert house.staff.second(Decision(expert=TWO, stage="context", confidence=1), than="small:4b") is None


def test_of_several_the_preferred_one_that_is_up_is_taken_and_the_best_by_its_past() -> None:
    one = expert(models={"1": "auto", "2": "auto"})
    has = ("a:4b", "b:7b", "c:14b", "d:4b", "e:70b")
    house = House(one, has=has)
    assert house.staff.assign(one, tier=1).model == "a:4b"
    house.down.add("a:4b")
    assert house.staff.assign(one, tier=1).model == "b:7b"
    assert House(one, has=has, scores=Ranking(math="c:14b")).staff.assign(one, tier=1).model == "c:14b"
    assert House(one, has=has, scores=Ranking(law="c:14b")).staff.assign(one, tier=1).model == "a:4b"
    # What stands far down the list is not worth a trial, nor is another tier's model.
    assert House(one, has=has, scores=Ranking(math="d:4b")).staff.assign(one, tier=1).model == "a:4b"
    assert House(one, has=has, scores=Ranking(math="e:70b")).staff.assign(one, tier=1).model == "a:4b"


# A second opinion


def seconded(house: House, one: Expert, than: str = "small:4b") -> tuple[str, str, int | None] | None:
    decision = Decision(expert=one, stage="embedding", confidence=0.7, model=than, tier=1)
    found = house.staff.second(decision, than=than)
    assert found is None or (found.is_alone and found.tier == 2 and found.confidence == 0.7)
    return told(found)


def test_the_second_is_of_tier_2_and_another_model() -> None:
    assert seconded(House(TWO), TWO) == ("math", "large:27b", 2)
    assert seconded(House(TWO), TWO, than="large:27b") is None
    alone = expert(model_name="small:4b")
    assert seconded(House(alone), alone) is None


def test_who_stands_in_may_have_the_second_tier() -> None:
    one = expert(model_name="small:4b", fallback="b")
    middle, last = expert("b", 2, model_name="other:7b", fallback="c"), expert("c", 3, model_name="large:27b")
    assert seconded(House(one, middle, last), one) == ("c", "large:27b", 2)
    circle = expert("b", 2, model_name="other:7b", fallback="math")
    assert seconded(House(one, circle), one) is None
    assert seconded(House(one, expert("b", 2, model_name="same:14b", tier=2)), one) == ("b", "same:14b", 2)


def test_a_small_model_that_auto_found_for_a_large_expert_is_no_second() -> None:
    one, other = expert(model_name="good:14b", fallback="b"), expert("b", 2, model_name="auto", tier=2)
    assert seconded(House(one, other, has=("tiny:4b",)), one, than="good:14b") is None
    assert seconded(House(one, other, has=("large:27b",)), one, than="good:14b") == ("b", "large:27b", 2)
    assert seconded(House(one, other, has=("unknown",)), one, than="good:14b") == ("b", "unknown", 2)


@pytest.mark.parametrize(("here", "there", "crosses"), [
    (False, False, False), (True, False, True), (False, True, True),
])
def test_what_stays_at_home_is_not_sent_to_an_api_for_a_second_opinion(here: bool, there: bool, crosses: bool) -> None:
    one = expert(model_name="small:4b", fallback="cloud", allow_cloud=here)
    cloud = expert("cloud", 2, type="api", model_name="gpt:70b", allow_cloud=there)
    assert (seconded(House(one, cloud), one) is not None) is crosses
    own = expert(type="api", models={"1": "gpt:4b", "2": "gpt:70b"})
    assert seconded(House(own), own, than="gpt:4b") == ("math", "gpt:70b", 2)
    away = expert(type="api", model_name="gpt:4b", fallback="cloud")
    assert seconded(House(away, cloud), away, than="gpt:4b") == ("cloud", "gpt:70b", 2)


# Who is there


def test_at_work_are_those_who_answer_for_something_and_have_a_model_that_is_up() -> None:
    house = House(
        expert("builtin", 7, type="builtin"), expert("b", 2, model_name="b:7b"), expert("a", 1, model_name="a:7b"),
        expert("hidden", 3, model_name="h:7b", routable=False), expert("bare", 4), FALLBACK,
        expert("eyes", 5, model_name="eyes:7b", routable=False, vision=True), expert("two", 6, models=BOTH))
    assert [each.label for each in house.staff.at_work()] == ["a", "b", "eyes", "two", "fallback"]
    house.down |= {"b:7b", "small:4b"}
    assert [each.label for each in house.staff.at_work()] == ["a", "eyes", "two"]
    house.down |= {"a:7b", "eyes:7b", "large:27b"}
    assert [each.label for each in house.staff.at_work()] == ["a", "b", "eyes", "two", "fallback"]


# Who divides and who merges


@pytest.mark.parametrize(("experts", "has", "limits", "found"), [
    ((TWO,), (), {}, ("fallback", "small:4b", 1)),
    ((TWO,), (), {"planner": "math"}, ("math", "small:4b", 1)),
    ((expert("fallback", 0, model_name="auto", tier=1),), ("large:27b", "mid:14b"), {}, ("fallback", "mid:14b", 1)),
    ((expert("fallback", 0, model_name="auto", tier=1),), ("large:27b",), {}, ("fallback", "large:27b", 1)),
    ((expert("fallback", 0, type="builtin"), expert("general", 2, model_name="g:7b")), (), {}, ("general", "g:7b", 1)),
    ((expert("fallback", 0, type="builtin"), TWO), (), {}, ("math", "small:4b", 1)),
    ((expert("fallback", 0, type="api", model_name="gpt:4b"), TWO), (), {}, ("math", "small:4b", 1)),
    ((expert("fallback", 0, type="api", model_name="gpt:4b", allow_cloud=True), TWO), (), {},
     ("fallback", "gpt:4b", 1)),
    ((expert("fallback", 0, type="api", model_name="gpt:4b"), TWO), (), {"planner": "fallback"},
     ("fallback", "gpt:4b", 1)),
    ((expert("fallback", 0, type="api", model_name="gpt:4b"), expert("x", 1, type="api", model_name="gpt:70b")), (), {},
     ("fallback", "gpt:4b", 1)),
])
def test_a_small_model_plans(
    experts: tuple[Expert, ...], has: tuple[str, ...], limits: dict[str, str], found: tuple[str, str, int]
) -> None:
    assert told(House(*experts, has=has, **limits).staff.planner()) == found


@pytest.mark.parametrize(("experts", "limits", "found"), [
    ((expert("general", 1, models=BOTH),), {}, ("general", "large:27b", 2)),
    ((expert("general", 1, model_name="g:7b"),), {}, ("general", "g:7b", 1)),
    ((TWO,), {}, ("fallback", "small:4b", 1)),
    ((TWO, expert("general", 2, model_name="g:7b")), {"judge": "math"}, ("math", "large:27b", 2)),
    ((expert("general", 1, type="api", model_name="gpt:70b"),), {}, ("fallback", "small:4b", 1)),
    ((expert("general", 1, type="api", model_name="gpt:70b"),), {"judge": "general"}, ("general", "gpt:70b", 2)),
])
def test_a_large_model_merges(experts: tuple[Expert, ...], limits: dict[str, str], found: tuple[str, str, int]) -> None:
    assert told(House(*experts, **limits).staff.judge()) == found


def test_whoever_is_down_does_not_plan_or_merge() -> None:
    house = House(expert("general", 1, models=BOTH), expert("other", 2, model_name="o:7b"))
    house.down |= {"small:4b"}
    assert told(house.staff.planner()) == ("general", "large:27b", 2)
    house.down |= {"large:27b"}
    assert told(house.staff.planner()) == told(house.staff.judge()) == ("other", "o:7b", 1)


# Who checks

DOCTOR = expert("medical_consult", 1, models={"1": "small:4b", "2": "large:27b"})
GENERAL = expert("general", 2, model_name="general:32b")


@pytest.mark.parametrize(("experts", "author", "limits", "found"), [
    ((DOCTOR, GENERAL), "small:4b", {}, ("medical_consult", "large:27b", 2)),
    ((DOCTOR, GENERAL), "large:27b", {}, ("general", "general:32b", 2)),
    ((DOCTOR,), "large:27b", {}, ("medical_consult", "small:4b", 1)),
    ((DOCTOR, expert("z", 3, model_name="z:70b")), "large:27b", {}, ("z", "z:70b", 2)),
    ((DOCTOR, expert("z", 3, model_name="z:70b"), expert("reasoning", 4, model_name="r:32b")), "large:27b", {},
     ("reasoning", "r:32b", 2)),
    ((DOCTOR, expert("eyes", 3, model_name="eyes:70b", vision=True)), "large:27b", {},
     ("medical_consult", "small:4b", 1)),
    ((DOCTOR, GENERAL, expert("judge", 3, model_name="j:7b")), "large:27b", {"judge": "judge"}, ("judge", "j:7b", 1)),
    ((DOCTOR, GENERAL, expert("judge", 3, model_name="j:7b")), "j:7b", {"judge": "judge"},
     ("medical_consult", "large:27b", 2)),
    ((DOCTOR, expert("cloud", 3, type="api", model_name="gpt:70b")), "large:27b", {},
     ("medical_consult", "small:4b", 1)),
    ((DOCTOR, expert("cloud", 3, type="api", model_name="gpt:70b", allow_cloud=True)), "large:27b", {},
     ("cloud", "gpt:70b", 2)),
    ((DOCTOR, expert("cloud", 3, type="api", model_name="gpt:70b")), "large:27b", {"judge": "cloud"},
     ("cloud", "gpt:70b", 2)),
])
def test_another_model_checks(
    experts: tuple[Expert, ...], author: str, limits: dict[str, str], found: tuple[str, str, int]
) -> None:
    assert told(House(*experts, **limits).staff.critic(author, DOCTOR)) == found


def test_where_there_is_but_one_model_it_checks_itself() -> None:
    one = expert("medical_consult", 1, model_name="small:4b")
    assert told(House(one).staff.critic("small:4b", one)) == ("medical_consult", "small:4b", 1)


def test_who_is_down_does_not_check() -> None:
    house = House(DOCTOR, GENERAL)
    house.down.add("large:27b")
    assert told(house.staff.critic("small:4b", DOCTOR)) == ("general", "general:32b", 2)


# Over real nodes

AUTO = {"1": "auto", "2": "auto"}
TEAM: tuple[dict[str, Any], ...] = (
    {"id": 0, "label": "fallback", "model_name": "auto", "tier": 1},
    {"id": 1, "label": "math", "keywords": ["algebra"], "models": AUTO},
    {"id": 2, "label": "named", "models": {"1": "nobody:7b", "2": "gemma3:27b"}},
)


@pytest.fixture
def ollama() -> Any:
    with fake_ollama(["gemma3:4b", "gemma3:27b"]) as fake:
        yield fake


def test_it_knows_what_the_nodes_have(tmp_path: Path, ollama: FakeOllama) -> None:
    with gateway_of(tmp_path, ollama.url, *TEAM) as gateway:
        staff = gateway._staff
        maths, named = staff.find("math"), staff.find("named")
        assert maths is not None and named is not None
        assert staff.assign(named, tier=1).model == "gemma3:27b"
        assert staff.assign(maths, tier=2).model == "gemma3:27b"
        ollama.stop()
        for node in gateway.catalog.all_nodes():
            node.mark_down(BackendError())
        assert staff.assign(named, tier=2).model == "gemma3:27b"
        assert [each.label for each in staff.at_work()] == ["math", "named", "fallback"]


@pytest.mark.bench
def test_a_tier_costs_little(tmp_path: Path, ollama: FakeOllama) -> None:
    with gateway_of(tmp_path, ollama.url, *TEAM) as gateway:
        staff = gateway._staff
        maths = staff.find("math")
        assert maths is not None
        decision = Decision(expert=maths, stage="embedding", confidence=1, tier=1)
        began = time.process_time()
        for _ in range(1000):
            staff.equip(decision)
        assert (time.process_time() - began) / 1000 < 100e-6
