"""`model_name: "auto"`: the best model a node has for each expert, all choices together fitting its memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..experts import Expert
from .inventory import UpstreamModel

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
_BILLIONS = re.compile(r"(\d+(?:\.\d+)?)\s*([bBmM])")
_UNRANKED = 99
TINY_BILLIONS = 1.0
SMALL_BILLIONS = 20.0


def choose(
    experts: Iterable[Expert], models: Iterable[UpstreamModel], *, loaded: Mapping[str, object], memory_bytes: int
) -> dict[str, str]:
    """Label -> model name for every "auto" expert that some model can serve.

    `memory_bytes` bounds the models that may be wanted at the same time, 0 = unknown. Where each expert's best
    model fits beside the others', nothing is ever swapped and each gets it, general work what is loaded.
    Beyond that, what is loaded comes first for all, only a specialist of the expert's own domain, or vision,
    is worth a swap, and the others share.
    """
    experts, models = list(experts), list(models)
    sizes = {model.name: model.size for model in models}
    best = _choose(experts, models, loaded=loaded, memory_bytes=None)
    if memory_bytes and sum(sizes[name] for name in set(best.values())) <= memory_bytes:
        return best
    return _choose(experts, models, loaded=loaded, memory_bytes=memory_bytes)


def _choose(
    experts: Iterable[Expert], models: Iterable[UpstreamModel], *, loaded: Mapping[str, object],
    memory_bytes: int | None,
) -> dict[str, str]:
    """One pass. `memory_bytes` None = as if there were room for all, so that to be loaded counts for little."""
    usable = [model for model in models if model.can_chat]
    is_scarce, limit = memory_bytes is not None, memory_bytes or 0
    chosen: dict[str, str] = {}
    kept: dict[str, UpstreamModel] = {}
    for expert in sorted(experts, key=_importance):
        fitting = [m for m in usable if _may_serve(expert, m)]
        if not fitting:
            continue
        ranked = sorted(fitting, key=lambda m: (
            _exceeds(m, limit), *_badness(expert, m, loaded, is_scarce=is_scarce),
        ))
        best = ranked[0]
        if best.name not in kept and limit and not _is_specialist(expert, best):
            taken = sum(model.size for model in kept.values())
            shared = [model for model in ranked if model.name in kept]
            if shared and taken + best.size > limit:
                best = shared[0]
        kept[best.name] = best
        chosen[expert.label] = best.name
    return chosen


def _exceeds(model: UpstreamModel, memory_bytes: int) -> bool:
    return bool(memory_bytes) and model.size > memory_bytes


def _importance(expert: Expert) -> tuple[int, int]:
    """The fallback and the generalist choose first: whatever they take, the others may share."""
    return (0 if expert.is_fallback else 1 if expert.label == "general" else 2, expert.id)


def _may_serve(expert: Expert, model: UpstreamModel) -> bool:
    if model.is_remote and not expert.allow_cloud:
        return False
    return not expert.vision or "vision" in model.capabilities


def _badness(
    expert: Expert, model: UpstreamModel, loaded: Mapping[str, object], *, is_scarce: bool
) -> tuple[float, ...]:
    """Lower is better: an own specialist, then the preference list, then loaded, then size.

    Where memory is scarce, and for general work, what is loaded comes before what is preferred.
    """
    domain = expert.label if expert.label in PREFERENCES else "general"
    is_foreign_specialist = _family(model) in _NARROW and not _is_specialist(expert, model)
    billions = _size_in_billions(model)
    is_tiny = billions < TINY_BILLIONS
    idle = 0.0 if model.name in loaded else 1.0
    is_slow = expert.own_tier == 1 and billions > SMALL_BILLIONS
    return (
        float(model.is_remote),
        float(is_foreign_specialist),
        0.0 if _is_specialist(expert, model) else 1.0,
        float(is_tiny),
        idle if is_scarce or domain == "general" else 0.0,
        float(_place(PREFERENCES[domain], model)),
        idle,
        float(is_slow),
        -billions,
    )


def _is_specialist(expert: Expert, model: UpstreamModel) -> bool:
    return _family(model) in SPECIALISTS.get(expert.label, ()) or expert.vision


def _place(preferences: tuple[str, ...], model: UpstreamModel) -> int:
    """The model's place on a list; an exact name stands on its own place, any other tag on its family's."""
    names = {model.name, model.name.removesuffix(":latest"), _family(model)}
    return next((i for i, wanted in enumerate(preferences) if wanted in names), _UNRANKED)


def _family(model: UpstreamModel) -> str:
    return model.name.rsplit("/", 1)[-1].split(":", 1)[0].casefold()


def _size_in_billions(model: UpstreamModel) -> float:
    """Parameters in billions, from what the node says, the tag, or the file size at about 0.6 bytes a parameter."""
    for text in (model.parameter_size, model.name.split(":", 1)[-1]):
        found = _BILLIONS.search(text)
        if found:
            return float(found[1]) / (1000 if found[2] in "mM" else 1)
    return model.size / 0.6e9
