"""Who can be given work: each expert with the model of a tier, who divides, who merges, and who checks another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from msgspec import structs

from ..config import Config
from ..core import Decision
from ..experts import TIERS, Expert, Tier
from ..routing.complexity import rate_nothing
from ..routing.parts import Rate
from .lineup import Candidate, Lineup, raw_expert

# So many of the preferred models are compared by how they did; what is far down the list is not worth a trial.
MOST_COMPARED = 3


class Tiers(Protocol):
    """Which models there are for a tier; asked often, so it answers from memory."""

    def models_for(self, expert: Expert, tier: Tier) -> Sequence[str]:
        """The models that could serve `expert` in this tier, the preferred one first; () for none."""

    def tier_of(self, expert: Expert, model: str) -> Tier | None:
        """The tier of a model that serves `expert`; None where nothing tells."""


class Choosing(Protocol):
    """What past answers say of models."""

    def best(self, models: Sequence[str], domain: str) -> str:
        """The one that did best in this domain, the first of equals; "" where there are none."""


class Staff:
    """Of one configuration; holds no request state. Who is down, or has failed again and again, is given no work as
    long as somebody else can do it."""

    def __init__(
        self, config: Config, lineup: Lineup, tiers: Tiers, scores: Choosing | None = None, *,
        rate: Rate = rate_nothing,
    ) -> None:
        """`rate` tells which experts a text is for, {} where nobody can."""
        self.rate = rate
        self._experts = {expert.label: expert for expert in config.experts}
        self._limits = config.pipeline
        self._fallback = config.fallback
        self._lineup = lineup
        self._tiers = tiers
        self._scores = scores

    def find(self, label: str) -> Expert | None:
        return self._experts.get(label)

    def at_work(self) -> list[Expert]:
        """Those of `everybody` that can work now; all of them, where none can."""
        able = self.everybody()
        return [expert for expert in able if any(self._models(expert))] or able

    def everybody(self) -> list[Expert]:
        """Those that a part of a request may be for, be they up or down, since others stand in for them: each domain's,
        those that see, and the fallback last."""
        return sorted((expert for expert in self._experts.values() if self._is_able(expert)),
                      key=lambda expert: (expert.is_fallback, expert.id))

    def has_two(self, expert: Expert) -> bool:
        """Whether there is a first and a second tier to answer for it, with different models."""
        first, second = self._choose(expert, 1), self._choose(expert, 2)
        return bool(first and second) and first != second

    def assign(
        self, expert: Expert, *, tier: Tier | None = None, confidence: float = 1.0, is_alone: bool = False,
    ) -> Decision:
        """For a part of the work; without a `tier` it is the expert's own. Who fails has those in its place that always
        stand in for it, unless it `is_alone`; where nobody can, that is an error. An absent tier uses the other."""
        wanted = tier or expert.own_tier
        order = sorted(TIERS, key=lambda each: each != wanted)
        found = next(((model, each) for each in order if (model := self._choose(expert, each))), None) or next(
            ((model, each) for each in order for model in self._tiers.models_for(expert, each)), ("", None))
        return Decision(expert=expert, stage="context", confidence=confidence, model=found[0], tier=found[1],
                        is_alone=is_alone)

    def equip(self, decision: Decision) -> Decision:
        """`decision` with the model of its tier; an absent tier uses the other."""
        if decision.tier is None or decision.model:
            return decision
        assigned = self.assign(decision.expert, tier=decision.tier)
        return structs.replace(decision, model=assigned.model, tier=assigned.tier)

    def second(self, decision: Decision, *, than: str) -> Decision | None:
        """The single best of tier 2 for the same domain, other than the model `than`: the expert's own, else that of an
        expert that stands in for it. None where there is none."""
        for expert in self._lineup.chain(decision.expert):
            model = self._choose(expert, 2, but=than)
            if model and self._is_second(expert, model) and self.may_have(expert, model, decision.expert):
                return Decision(expert=expert, stage=decision.stage, confidence=decision.confidence, model=model,
                                tier=2, is_alone=True)
        return None

    def planner(self) -> Decision:
        """A small one, since a plan is short."""
        named = self._experts.get(self._limits.planner)
        expert = named or self._pick(self._fallback, self._generalist())
        if expert.model_name == "auto" and not expert.models:
            small = self._choose(structs.replace(expert, models={"1": "auto"}), 1)
            if small:
                return Decision(expert=expert, stage="context", confidence=1.0, model=small, tier=1)
        return self.assign(expert, tier=1)

    def judge(self) -> Decision:
        """Who merges what the experts said."""
        named = self._experts.get(self._limits.judge)
        return self.assign(named or self._pick(self._generalist(), self._fallback), tier=2)

    def critic(self, author: str, domain: Expert) -> Decision:
        """Who checks what the model `author` said: another model, if there is any, the large ones first."""
        named = self._experts.get(self._limits.judge)
        rest = sorted(self.at_work(), key=lambda expert: not expert.thinks_first)
        others = [domain, self._generalist(), *(expert for expert in rest if not expert.vision)]
        groups = [[named]] if named else []
        for group in (*groups, others):
            for tier in (2, 1):
                for expert in group:
                    model = self._choose(expert, tier, but=author)
                    if model and (expert is named or self.may_have(expert, model, domain)):
                        return Decision(expert=expert, stage="context", confidence=1.0, model=model, tier=tier)
        return self.assign(named or domain, tier=2)

    def _generalist(self) -> Expert:
        return self._experts.get("general") or self._fallback

    def _pick(self, *wanted: Expert) -> Expert:
        """The first of them that can work, else whoever can; not one whose prompts leave the house, where another can
        and nobody allowed that."""
        able = [expert for expert in (*wanted, *self.at_work()) if self._is_able(expert) and any(self._models(expert))]
        home = (expert for expert in able
                if expert.allow_cloud or not self._leaves_home(expert, next(self._models(expert))))
        return next(home, None) or next(iter(able), wanted[0])

    def _is_able(self, expert: Expert) -> bool:
        """Whether it answers for a domain, sees, or is the fallback, and has a model, be it up or down."""
        is_asked = expert.routable or expert.vision or expert.is_fallback
        return expert.type != "builtin" and is_asked and bool(self._lineup.model(expert))

    def _is_second(self, expert: Expert, model: str) -> bool:
        """Whether it is of tier 2 not only because its expert would like it to be: "auto" takes what there is."""
        is_hope = expert.model_name == "auto" and not expert.models
        return not is_hope or self._tiers.tier_of(raw_expert(model), model) != 1

    def may_have(self, expert: Expert, model: str, origin: Expert) -> bool:
        """Whether a prompt for `origin` may go to this model too: what was to stay at home stays there, unless one of
        the two experts allows it."""
        if expert is origin or expert.allow_cloud or origin.allow_cloud or not self._leaves_home(expert, model):
            return True
        return self._leaves_home(origin, self._lineup.model(origin))

    def _leaves_home(self, expert: Expert, model: str) -> bool:
        return bool(model) and self._candidate(expert, model).backend.is_remote(model)

    def _is_well(self, expert: Expert, model: str) -> bool:
        candidate = self._candidate(expert, model)
        return candidate.breaker.state != "open" and not candidate.backend.trouble(model)

    def _candidate(self, expert: Expert, model: str) -> Candidate:
        alone = Decision(expert=expert, stage="context", confidence=1.0, model=model, is_alone=True)
        return next(self._lineup.candidates(alone))

    def _models(self, expert: Expert) -> Iterator[str]:
        """Those that can answer now, its own tier's first."""
        for tier in sorted(TIERS, key=lambda tier: tier != expert.own_tier):
            if model := self._choose(expert, tier):
                yield model

    def _choose(self, expert: Expert, tier: Tier, *, but: str = "") -> str:
        """Of the preferred ones that can answer now, the one that did best; "" where there is none."""
        models = [model for model in self._tiers.models_for(expert, tier) if model != but]
        while models:
            best = models[0] if self._scores is None else self._scores.best(models[:MOST_COMPARED], expert.label)
            if self._is_well(expert, best):
                return best
            models.remove(best)
        return ""
