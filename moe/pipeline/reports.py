"""What a server says of itself: what a decision would be, and who is up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..backends.catalog import Catalog
from ..core import ChatRequest, Decision
from ..experts import Expert
from ..routing.parts import Rate
from ..routing.ranking import find_doubt, is_tie, rank
from ..routing.strategy import judge
from .lineup import Lineup


def tell_decision(decision: Decision, request: ChatRequest, *, model: str, rate: Rate) -> dict[str, Any]:
    """In the form of /v1/route; `model` is the one that would answer, "" for none; `rate` as for `judge`."""
    asked = judge(request, decision, rate)
    doubt = find_doubt(decision)
    return {
        "expert": decision.expert.label,
        "model": model or None,
        "stage": decision.stage,
        **({"tool": decision.tool} if decision.tool else {}),
        "confidence": round(decision.confidence, 4),
        "none_fits": None if doubt is None else round(doubt, 4),
        "near_tie": is_tie(rank(decision)),
        "strategy": decision.strategy,
        "tier": decision.tier,
        "reason": decision.reason,
        "complexity": {kind: round(share, 4) for kind, share in asked.probabilities.items()},
        "scores": {
            label: {name: round(value, 4) for name, value in signals.items()}
            for label, signals in decision.scores.items()
        },
        "elapsed_ms": round(decision.elapsed_ms, 3),
    }


def tell_health(
    experts: Sequence[Expert], lineup: Lineup, catalog: Catalog, *, router: dict[str, Any], is_faulty: bool
) -> dict[str, Any]:
    """In the form of /health; asks nobody anything now."""
    rows = {expert.label: lineup.health(expert) | {"breaker": lineup.breaker(expert.label).state}
            for expert in experts}
    nodes = {
        node.url: {"up": state.is_up, "models": len(state.models), "loaded": sorted(state.loaded),
                   "in_flight": node.in_flight, **({"error": state.error} if state.error else {})}
        for node in catalog.all_nodes()
        for state in (node.last_state,)
    }
    are_up = all(row["available"] and row["breaker"] == "closed" for row in rows.values())
    return {"status": "ok" if are_up and not is_faulty else "degraded", "router": router, "experts": rows,
            "nodes": nodes}
