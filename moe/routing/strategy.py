"""How an answer is come by: straight from one expert, with a second look, or by several together."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from ..core import ChatRequest, Decision
from ..experts import Expert, Tier
from .complexity import Complexity, rate_nothing, read_complexity
from .hardness import load_hardness
from .parts import Rate
from .text import find_question, is_housekeeping

# From here on a question is doubtful enough for a second look, which costs little where the first answer is sure; for
# the large model where there is no such look; and hard enough to go to that at once.
DOUBTFUL, COSTLY, HARD = 0.45, 0.6, 0.8
# So likely are several things at once worth a council: where each part was rated and they are for different experts,
# where nobody can rate them, and where they are all for one.
APART, UNRATED, ALIKE = 0.3, 0.5, 0.6


def choose_strategy(
    request: ChatRequest, decision: Decision, *, orchestrates: bool, experts: Sequence[Expert],
    rate: Rate = rate_nothing,
) -> Decision:
    """`decision` with its strategy, the tier to begin with, and the reason. Only where the client asked for a model
    that `orchestrates` is there more than one call; `rate` tells which experts a part of the text is for."""
    if not decision.virtual:
        return structs.replace(decision, reason="the client named who answers")
    obstacle = _find_obstacle(request, decision)
    if obstacle:
        return structs.replace(decision, reason=obstacle)
    if not orchestrates and len(decision.expert.tiers) < 2:
        return structs.replace(decision, reason="one expert answers")
    text = _find_words(request)
    if not text.strip():
        return structs.replace(decision, reason="there are no words to judge by")
    may_call_several = orchestrates and len(experts) > 1
    found = judge(request, decision, rate if may_call_several else rate_nothing)
    if may_call_several and _is_for_several(found):
        return structs.replace(decision, strategy="council", reason=_tell_parts(found))
    has_second = orchestrates and decision.expert.tiers == (1,) and _has_large(decision.expert, experts)
    return _choose_tier(decision, found, text, orchestrates=orchestrates, has_second=has_second)


def _has_large(expert: Expert, experts: Sequence[Expert]) -> bool:
    """Whether one that stands in for it is of tier 2."""
    known = {each.label: each for each in experts}
    seen = {expert.label}
    while expert.fallback in known and expert.fallback not in seen:
        expert = known[expert.fallback]
        seen.add(expert.label)
        if 2 in expert.tiers:
            return True
    return False


def judge(request: ChatRequest, decision: Decision, rate: Rate) -> Complexity:
    """How much the newest message asks for."""
    return read_complexity(_find_words(request), find_probabilities(decision), rate)


def _find_words(request: ChatRequest) -> str:
    return find_question(next(iter(request.user_texts[-1:]), ""))


def _is_for_several(found: Complexity) -> bool:
    """Whether its parts are worth a call each: one job in one domain is not, however many steps it has."""
    least = UNRATED
    if found.is_parted:
        least = APART if len(found.domains) > 1 else ALIKE
    return found.requests > 1 and found.probabilities["compound"] >= least


def _tell_parts(found: Complexity) -> str:
    if len(found.domains) > 1:
        return f"{found.requests} requests in {len(found.domains)} domains ({', '.join(found.domains)})"
    return f"{found.requests} requests of several kinds ({found.probabilities['compound']:.2f})"


def find_probabilities(decision: Decision) -> dict[str, float]:
    """The router's, by expert; {} where it has none."""
    return {label: row["probability"] for label, row in decision.scores.items() if "probability" in row}


def _choose_tier(
    decision: Decision, found: Complexity, text: str, *, orchestrates: bool, has_second: bool
) -> Decision:
    """`has_second`: the expert has one tier, and who stands in for it the other."""
    tiers = decision.expert.tiers
    doubt = found.probabilities["doubtful"]
    least = DOUBTFUL if orchestrates else COSTLY
    if doubt < least:
        tier: Tier | None = decision.expert.own_tier if len(tiers) > 1 else decision.tier
        return structs.replace(decision, tier=tier, reason=_tell_one(found, least, orchestrates=orchestrates))
    doubtful = f"doubtful ({doubt:.2f})"
    if len(tiers) < 2 and not has_second:
        return structs.replace(decision, reason=f"{doubtful}, but {decision.expert.label} has one tier")
    fails = load_hardness().foresee(text)
    if fails >= HARD and not has_second:
        return structs.replace(decision, tier=2, reason=f"{doubtful}, and a small model fails at {fails:.0%} of such: "
                                                        "the large one at once")
    if not orchestrates:
        return structs.replace(decision, tier=2, reason=f"{doubtful}: the large model at once")
    return structs.replace(decision, strategy="escalate", tier=1,
                           reason=f"{doubtful}: tier 1 first, and tier 2 if its answer is not sure")


def _tell_one(found: Complexity, least: float, *, orchestrates: bool) -> str:
    """Why one call is enough."""
    share = f"({found.confidence:.2f})"
    if found.kind == "doubtful":
        return f"doubtful {share}, below {least}"
    if found.kind == "plain":
        return f"one plain question {share}" if found.requests < 2 else f"{found.requests} plain requests {share}"
    if not orchestrates:
        return f"{found.requests} requests {share}, and a model of one call"
    return f"{found.requests} requests {share}, but hardly for several experts"


def _find_obstacle(request: ChatRequest, decision: Decision) -> str:
    """Why nothing but one call may answer, "" for no reason."""
    if decision.stage in ("raw", "tool"):
        return "a model that is ready for it" if decision.stage == "raw" else "a tool knows it exactly"
    if request.completion is not None or request.only_loads or is_housekeeping(request):
        return "it is no question"
    if request.has_tools:
        return "the client looks after tools itself"
    if request.format is not None or request.logprobs is not None:
        return "the client wants a certain form"
    return "several answers are asked for" if request.of > 1 else ""
