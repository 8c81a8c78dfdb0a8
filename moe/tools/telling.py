"""Tools and what they found, as programs are told of them, and the lines that people read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .base import Outcome, Tool


def describe(tool: Tool) -> dict[str, Any]:
    """A tool for whoever may call it; `inputSchema` is the word of the Model Context Protocol."""
    return {"name": tool.name, "description": tool.description, "family": tool.family, "inputSchema": tool.schema}


def report(name: str, outcome: Outcome) -> dict[str, Any]:
    """What the tool of this name found; what is empty is left out."""
    told: dict[str, Any] = {"tool": name, "result": outcome.result, "text": outcome.text}
    if outcome.steps:
        told["steps"] = outcome.steps
    if outcome.body:
        told["body"] = outcome.body
    if outcome.source:
        told["source"] = outcome.source
    return told


def details(outcome: Outcome) -> Iterator[str]:
    """The lines below the one that answers."""
    yield from outcome.steps
    if outcome.body:
        yield from outcome.body.split("\n")
    if outcome.source:
        yield outcome.source
