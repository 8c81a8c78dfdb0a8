"""How an answer is come by: straight from one expert, with a second look, or by several together."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from ..core import ChatRequest, Decision
from ..experts import Expert, Tier
from .complexity import Complexity, read_complexity
from .hardness import load_hardness
from .text import find_question, is_housekeeping

# From here on a question is doubtful enough for a second call, and hard enough to go to the large model at once.
DOUBTFUL, HARD = 0.6, 0.8
# So likely are several things at once worth a council; less will do where two requests lie in two domains.
COMPOUND, ALMOST = 0.5, 0.1


def choose_strategy(
    request: ChatRequest, decision: Decision, *, orchestrates: bool, experts: Sequence[Expert]
) -> Decision:
    """`decision` with its strategy, the tier to begin with, and the reason. Only where the client asked for a model
    that `orchestrates` is there more than one call."""
    if not decision.virtual:
        return structs.replace(decision, reason="the client named who answers")
    obstacle = _find_obstacle(request, decision)
    if obstacle:
        return structs.replace(decision, reason=obstacle)
    if not orchestrates and len(decision.expert.tiers) < 2:
        return structs.replace(decision, reason="one expert answers")
    text = find_question(next(iter(request.user_texts[-1:]), ""))
    if not text.strip():
        return structs.replace(decision, reason="there are no words to judge by")
    found = read_complexity(text, find_probabilities(decision))
    if orchestrates and len(experts) > 1 and (reason := _find_parts(found)):
        return structs.replace(decision, strategy="council", reason=reason)
    return _choose_tier(decision, found, text, orchestrates=orchestrates)


def _find_parts(found: Complexity) -> str:
    """Why it is several things at once, "" where it is not."""
    share = found.probabilities["compound"]
    if found.kind == "compound" and share >= COMPOUND:
        return found.reason
    if found.requests > 1 and len(found.domains) > 1 and share >= ALMOST:
        return f"compound: {found.requests} requests in {len(found.domains)} domains ({', '.join(found.domains)})"
    return ""


def find_probabilities(decision: Decision) -> dict[str, float]:
    """The router's, by expert; {} where it has none."""
    return {label: row["probability"] for label, row in decision.scores.items() if "probability" in row}


def _choose_tier(decision: Decision, found: Complexity, text: str, *, orchestrates: bool) -> Decision:
    tiers = decision.expert.tiers
    if len(tiers) < 2:
        return structs.replace(decision, reason=f"{found.reason}; {decision.expert.label} has one tier")
    tier: Tier = decision.expert.own_tier
    doubt = found.probabilities["doubtful"]
    if doubt < DOUBTFUL:
        return structs.replace(decision, tier=tier, reason=found.reason)
    fails = load_hardness().foresee(text)
    if fails >= HARD or not orchestrates:
        return structs.replace(decision, tier=2, reason=f"{found.reason}; a small model fails at {fails:.0%} of such, "
                                                        "so the large one at once")
    return structs.replace(decision, strategy="escalate", tier=1,
                           reason=f"{found.reason}; tier 1 first, and tier 2 if its answer is not sure")


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
    return ""
