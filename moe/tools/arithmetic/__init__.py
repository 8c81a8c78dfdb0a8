"""Sums in the notation of people: read, worked out exactly, and said."""

from __future__ import annotations

from .bases import number_base
from .changes import percent_change
from .sums import calculate

TOOLS = (calculate, percent_change, number_base)

__all__ = ["TOOLS", "calculate", "number_base", "percent_change"]
