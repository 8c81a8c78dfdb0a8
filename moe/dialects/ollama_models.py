"""Ollama's model pages: /api/tags, /api/show and /api/ps."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from ..core import ModelCard

UNKNOWN_CONTEXT_TOKENS = 8192
NEVER = "9999-12-31T23:59:59Z"
TEMPLATE = "{{ if .System }}{{ .System }}\n\n{{ end }}{{ .Prompt }}"


def tags(cards: Sequence[ModelCard]) -> dict[str, Any]:
    return {"models": [_entry(card) for card in cards]}


def ps(cards: Sequence[ModelCard]) -> dict[str, Any]:
    """The loaded models, the one that stays longest first."""
    longest_first = sorted(cards, key=lambda card: card.expires or float("inf"), reverse=True)
    return {"models": [_loaded(card) for card in longest_first]}


def show(card: ModelCard, *, basename: str = "") -> dict[str, Any]:
    """`basename` is the name as asked, given only for clients that look for it (GitHub Copilot's user agent)."""
    family = _family(card)
    info: dict[str, Any] = {
        "general.architecture": family,
        f"{family}.context_length": card.context_length or UNKNOWN_CONTEXT_TOKENS,
    }
    if basename:
        info["general.basename"] = basename
    return {
        "license": "",
        "modelfile": _modelfile(card),
        "parameters": f"num_ctx {card.context_length}" if card.context_length else "",
        "template": TEMPLATE,
        "system": card.system,
        "details": _details(card),
        "model_info": info,
        "capabilities": list(card.capabilities),
        "modified_at": _date(card.modified),
    }


def tagged(name: str) -> str:
    """The name with its tag: `:latest` where it has none. A port in a registry's address is no tag."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _entry(card: ModelCard) -> dict[str, Any]:
    name = tagged(card.name)
    return {
        "name": name,
        "model": name,
        "modified_at": _date(card.modified),
        "size": card.size,
        "digest": card.digest or hashlib.sha256(name.encode()).hexdigest(),
        "details": _details(card),
        "capabilities": list(card.capabilities),
    }


def _loaded(card: ModelCard) -> dict[str, Any]:
    entry = _entry(card)
    del entry["modified_at"], entry["capabilities"]
    expires_at = _date(card.expires) if card.expires else NEVER
    return {**entry, "expires_at": expires_at, "size_vram": card.size_vram, "context_length": card.context_length}


def _details(card: ModelCard) -> dict[str, Any]:
    family = _family(card)
    return {
        "parent_model": "",
        "format": "gguf" if card.kind == "model" else "moe",
        "family": family,
        "families": [family],
        "parameter_size": card.parameter_size,
        "quantization_level": card.quantization,
    }


def _family(card: ModelCard) -> str:
    return card.family or "moe"


def _modelfile(card: ModelCard) -> str:
    lines = [f"# {_one_line(card.description)}"] if card.description else []
    if card.routes_to:
        lines.append(f"# Leads to: {_one_line(card.routes_to)}")
    lines.append(f"FROM {tagged(card.name)}")
    if card.system:
        quoted = card.system.replace('"""', "'''")
        lines.append(f'SYSTEM """{quoted}"""')
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _date(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, timezone.utc).isoformat().replace("+00:00", "Z")
