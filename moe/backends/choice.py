"""`"auto"`: the best model that nodes have for each expert and each tier, all choices together fitting their memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from ..experts import Expert, Tier
from .inventory import UpstreamModel
from .tier import MOST_QUICK, find_size, find_tier

# What people run well for each domain, best first; a name without a tag stands for the whole family.
PREFERENCES: dict[str, tuple[str, ...]] = {
    "general": ("gemma3:27b", "qwen3.5:35b", "gemma3", "qwen3.5", "qwen3", "llama3.3", "mistral-small", "llama3.1"),
    "math": ("phi4:14b", "qwq:32b", "phi4-reasoning", "phi4", "qwq", "deepseek-r1", "qwen2-math", "mathstral"),
    "technical_support": ("deepseek-coder-v2:16b", "devstral:24b", "deepseek-coder-v2", "devstral", "qwen3-coder",
                          "qwen2.5-coder", "codestral"),
    "code_reviewer": ("devstral:24b", "qwen3-coder:30b", "devstral", "qwen3-coder", "qwen2.5-coder",
                      "deepseek-coder-v2", "codestral", "codegemma", "starcoder2"),
    "creative_writer": ("gemma3:27b", "gemma3", "mistral-nemo", "command-r"),
    "medical_consult": ("phi4:14b", "gemma3:27b", "medgemma", "meditron", "medllama2"),
    "legal_advisor": ("magistral:24b", "command-r:35b", "magistral", "command-r"),
    "translation": ("translategemma:27b", "translategemma", "aya-expanse", "aya", "gemma3"),
    "data_analyst": ("phi4:14b", "phi4", "sqlcoder", "qwen3-coder", "qwen2.5-coder"),
    "science": ("gemma3:27b", "gemma3"),
    "reasoning": ("phi4:14b", "deepseek-r1:32b", "phi4-reasoning", "deepseek-r1", "qwq", "magistral", "gpt-oss"),
    "vision": ("gemma3:27b", "qwen3-vl", "qwen2.5vl", "llama3.2-vision", "gemma3", "minicpm-v", "llava"),
}
# Families made for one purpose: real specialists, worth a swap, and a poor choice for anybody else.
SPECIALISTS: dict[str, tuple[str, ...]] = {
    "technical_support": ("deepseek-coder-v2", "devstral", "qwen3-coder", "qwen2.5-coder", "codestral"),
    "code_reviewer": ("devstral", "qwen3-coder", "qwen2.5-coder", "deepseek-coder-v2", "codestral", "codegemma",
                      "starcoder2", "deepseek-coder", "codellama"),
    "math": ("qwen2-math", "mathstral"),
    "translation": ("translategemma", "aya-expanse", "aya"),
    "medical_consult": ("medgemma", "meditron", "medllama2"),
    "data_analyst": ("sqlcoder",),
}
_NARROW = frozenset(family for families in SPECIALISTS.values() for family in families)
_UNRANKED = 99
TINY_BILLIONS = 1.0


class Room(Struct, frozen=True):
    """For how many bytes of models there is room, on all nodes together and on the largest; 0 = unknown."""

    together: int = 0
    at_most: int = 0


def choose(
    experts: Iterable[Expert], models: Iterable[UpstreamModel], *, loaded: Collection[str], room: Room
) -> dict[str, str]:
    """Label -> model name for every "auto" expert that some model can serve.

    `room` bounds the models that may be wanted at the same time. Where each expert's best model fits beside the
    others', nothing is ever swapped and each gets it, general work what is loaded. Beyond that, what is loaded comes
    first for all, only a specialist of the expert's own domain, or vision, is worth a swap, and the others share.
    """
    experts, models = list(experts), list(models)
    best = _choose(experts, models, loaded=loaded, room=None)
    return best if _fit(best.values(), models, room) else _choose(experts, models, loaded=loaded, room=room)


def rank_tier(
    expert: Expert, tier: Tier, models: Iterable[UpstreamModel], *, chosen: Mapping[str, str], loaded: Collection[str],
    room: Room,
) -> tuple[str, ...]:
    """The models of this tier that could serve `expert`, the best first; () where the tier is better left out.

    That is so where all it has is a stopgap, while the other tier has better: models that are tiny, made for another
    purpose, or larger than the memory. It is so too for the expert's everyday tier where its model would have to take
    turns in memory with what `choose` has `chosen` for the expert and others. The other tier is worth a swap.
    """
    models = list(models)
    able = [model for model in models if model.can_chat and _may_serve(expert, model)]
    sound = [model for model in able if not _is_stopgap(expert, model, loaded, room)]
    here = [model for model in sound or able if (find_tier(model) or expert.own_tier) == tier]
    own = chosen.get(expert.label, "")
    ranked = sorted(here, key=lambda m: (m.name != own, _exceeds(m, room), *_badness(expert, m, loaded, room=None)))
    if ranked and not _fit((*chosen.values(), ranked[0].name), models, room):
        if tier == expert.own_tier and own and own != ranked[0].name:
            return ()
        ranked.sort(key=lambda m: (m.name != own, _exceeds(m, room), not _is_specialist(expert, m),
                                   m.name not in loaded, m.name not in chosen.values()))
    return tuple(model.name for model in ranked)


def _choose(
    experts: Iterable[Expert], models: Iterable[UpstreamModel], *, loaded: Collection[str], room: Room | None
) -> dict[str, str]:
    """One pass. `room` None = as if there were room for all, so that to be loaded counts for little."""
    usable = [model for model in models if model.can_chat]
    limits = room or Room()
    chosen: dict[str, str] = {}
    kept: dict[str, UpstreamModel] = {}
    for expert in sorted(experts, key=_importance):
        fitting = [m for m in usable if _may_serve(expert, m)]
        if not fitting:
            continue
        ranked = sorted(fitting, key=lambda m: (_exceeds(m, limits), *_badness(expert, m, loaded, room=room)))
        best = ranked[0]
        if best.name not in kept and limits.together and not _is_specialist(expert, best):
            taken = sum(model.size for model in kept.values())
            shared = [model for model in ranked if model.name in kept]
            if shared and taken + best.size > limits.together:
                best = shared[0]
        kept[best.name] = best
        chosen[expert.label] = best.name
    return chosen


def _fit(names: Iterable[str], models: Sequence[UpstreamModel], room: Room) -> bool:
    """Whether the models of these names are known to have room together."""
    wanted = set(names)
    return room.together > 0 and sum(model.size for model in models if model.name in wanted) <= room.together


def _exceeds(model: UpstreamModel, room: Room) -> bool:
    return 0 < room.at_most < model.size


def _importance(expert: Expert) -> tuple[int, int]:
    """The fallback and the generalist choose first: whatever they take, the others may share."""
    return (0 if expert.is_fallback else 1 if expert.label == "general" else 2, expert.id)


def _may_serve(expert: Expert, model: UpstreamModel) -> bool:
    if model.is_remote and not expert.allow_cloud:
        return False
    return not expert.vision or "vision" in model.capabilities


def _is_stopgap(expert: Expert, model: UpstreamModel, loaded: Collection[str], room: Room) -> bool:
    return (_is_foreign(expert, model) or _is_tiny(expert, model)
            or (_exceeds(model, room) and model.name not in loaded))


def _badness(
    expert: Expert, model: UpstreamModel, loaded: Collection[str], *, room: Room | None
) -> tuple[float, ...]:
    """Lower is better: the everyday tier of an expert that has two, an own specialist, then the preference list, then
    loaded, then size.

    Where memory is scarce, and for general work, what is loaded comes before what is preferred.
    """
    domain = expert.label if expert.label in PREFERENCES else "general"
    billions = _size_in_billions(model)
    idle = 0.0 if model.name in loaded else 1.0
    is_slow = expert.own_tier == 1 and billions > MOST_QUICK
    is_of_other_tier = len(expert.tiers) > 1 and (find_tier(model) or expert.own_tier) != expert.own_tier
    return (
        float(model.is_remote),
        float(_is_foreign(expert, model)),
        float(_is_tiny(expert, model)),
        float(is_of_other_tier),
        0.0 if _is_specialist(expert, model) else 1.0,
        idle if room is not None or domain == "general" else 0.0,
        float(_place(PREFERENCES[domain], model)),
        idle,
        float(is_slow),
        -billions,
    )


def _is_foreign(expert: Expert, model: UpstreamModel) -> bool:
    """Whether it is made for the purpose of somebody else."""
    return _family(model) in _NARROW and not _is_specialist(expert, model)


def _is_tiny(expert: Expert, model: UpstreamModel) -> bool:
    return _size_in_billions(model) < TINY_BILLIONS and not _is_specialist(expert, model)


def _is_specialist(expert: Expert, model: UpstreamModel) -> bool:
    return _family(model) in SPECIALISTS.get(expert.label, ()) or expert.vision


def _place(preferences: tuple[str, ...], model: UpstreamModel) -> int:
    """The model's place on a list; an exact name stands on its own place, any other tag on its family's."""
    names = {model.name, model.name.removesuffix(":latest"), _family(model)}
    return next((i for i, wanted in enumerate(preferences) if wanted in names), _UNRANKED)


def _family(model: UpstreamModel) -> str:
    return model.name.rsplit("/", 1)[-1].split(":", 1)[0].casefold()


def _size_in_billions(model: UpstreamModel) -> float:
    return find_size(model) or 0.0
