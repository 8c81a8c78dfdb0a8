"""Ollama's model pages: /api/tags, /api/show and /api/ps."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ..replies import ModelCard

UNKNOWN_CONTEXT_TOKENS = 8192
LAST_TOLD_S = 10_000_000_000
NEVER = "2318-01-01T00:00:00Z"  # about where Ollama's own "for ever" ends; year 9999 overflows in some time zones
_LOADED = ("name", "model", "size", "digest", "details")
_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
TEMPLATE = "{{ if .System }}{{ .System }}\n\n{{ end }}{{ .Prompt }}"


def tags(cards: Sequence[ModelCard]) -> dict[str, Any]:
    return {"models": [_entry(card) for card in cards]}


def ps(cards: Sequence[ModelCard]) -> dict[str, Any]:
    """The loaded models, the one that stays longest first."""
    longest_first = sorted(cards, key=lambda card: card.expires or float("inf"), reverse=True)
    return {"models": [_loaded(card) for card in longest_first]}


def show(card: ModelCard, *, page: Mapping[str, Any] | None = None, basename: str = "") -> dict[str, Any]:
    """`page` is what Ollama itself says of the model behind the card, where one is.

    `basename` is the name as asked, given only for clients that look for it (GitHub Copilot's user agent).
    """
    known = dict(page or {})
    info = _info(card, known.get("model_info"))
    if basename:
        info["general.basename"] = basename
    shown: dict[str, Any] = {
        "license": card.license or str(known.get("license") or ""),
        "modelfile": _modelfile(card),
        "parameters": _parameters(card),
        "template": card.template or str(known.get("template") or TEMPLATE),
        "system": card.system,
        "details": _details(card, known.get("details")),
        "model_info": info,
        "capabilities": list(card.capabilities),
        "modified_at": _date(card.modified),
    }
    if card.messages:
        shown["messages"] = [{"role": role, "content": content} for role, content in card.messages]
    if card.kind == "model":
        return {**shown, **known, "model_info": info}
    return shown | {name: known[name] for name in ("projector_info", "tensors") if name in known}


def tagged(name: str) -> str:
    """The name with its tag: `:latest` where it has none. A port in a registry's address is no tag."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _entry(card: ModelCard) -> dict[str, Any]:
    name = tagged(card.name)
    entry = {
        "name": name,
        "model": name,
        "modified_at": _date(card.modified),
        "size": card.size,
        "digest": _digest(card),
        "details": _details(card),
        "capabilities": list(card.capabilities),
    }
    return entry | ({"description": _one_line(card.description)} if card.description else {})


def _digest(card: ModelCard) -> str:
    """An expert has one of its own: clients take two names with one digest as one model, and would lose its prompt.

    One that is made up changes with what the model can do, since clients keep that by digest.
    """
    if card.digest and card.kind != "expert":
        return card.digest
    own = (tagged(card.name), card.digest, *card.capabilities)
    return hashlib.sha256("\n".join(own).encode()).hexdigest()


def _loaded(card: ModelCard) -> dict[str, Any]:
    entry = {name: value for name, value in _entry(card).items() if name in _LOADED}
    expires_at = _date(card.expires) if card.expires else NEVER
    return {**entry, "expires_at": expires_at, "size_vram": card.size_vram, "context_length": card.context_length}


def _details(card: ModelCard, known: Any = None) -> dict[str, Any]:
    family = _family(card)
    details = {
        "parent_model": "" if card.kind == "model" else card.model,
        "format": card.form or ("gguf" if card.kind == "model" else "moe"),
        "family": family,
        "families": [family],
        "parameter_size": card.parameter_size,
        "quantization_level": card.quantization,
    }
    told = {name: value for name, value in known.items() if value} if isinstance(known, dict) else {}
    return {**details, **told, "parent_model": details["parent_model"] or told.get("parent_model", "")}


def _info(card: ModelCard, known: Any) -> dict[str, Any]:
    """`model_info`: what the weights say of themselves, and in any case what clients plan with; 0 is unknown."""
    info = {**card.info, **known} if isinstance(known, dict) else dict(card.info)
    family = str(info.get("general.architecture") or _family(card))
    expected = {"general.architecture": family, "general.parameter_count": _count(card.parameter_size),
                f"{family}.context_length": card.context_length or UNKNOWN_CONTEXT_TOKENS,
                f"{family}.embedding_length": 0}
    return expected | {name: value for name, value in info.items() if value is not None or name not in expected}


def _count(parameter_size: str) -> int:
    """How many parameters "14.7B" or "360M" are; 0 when nobody knows."""
    number, unit = parameter_size[:-1], parameter_size[-1:].upper()
    if unit not in _UNITS or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", number):
        return 0
    return int(float(number) * _UNITS[unit])


def _parameters(card: ModelCard) -> str:
    """A line for each, as in a Modelfile; a list gives several."""
    rows = [(name, each) for name, value in card.parameters.items()
            for each in (value if isinstance(value, list) else [value])]
    return "\n".join(f"{name:<30} {_quote(value)}" for name, value in rows)


def _quote(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)


def _family(card: ModelCard) -> str:
    return card.family or "moe"


def _modelfile(card: ModelCard) -> str:
    lines = [f"# {_one_line(card.description)}"] if card.description else []
    if card.routes_to:
        lines.append(f"# Leads to: {_one_line(card.routes_to)}")
    lines.append(f"FROM {tagged(card.routes_to if card.kind == 'alias' else card.name)}")
    if card.system:
        quoted = card.system.replace('"""', "'''")
        lines.append(f'SYSTEM """{quoted}"""')
    if card.parameters:
        lines += [f"PARAMETER {' '.join(row.split(maxsplit=1))}" for row in _parameters(card).splitlines()]
    lines += [f'MESSAGE {role} """{content}"""' for role, content in card.messages]
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _date(unix_s: float) -> str:
    """A time beyond what a calendar can tell, as of a `keep_alive` of a million years, is never."""
    if unix_s >= LAST_TOLD_S:
        return NEVER
    return datetime.fromtimestamp(unix_s, timezone.utc).isoformat().replace("+00:00", "Z")
