"""The JSON Schema of the two config files."""

from __future__ import annotations

import argparse

from ..config import schema
from .terminal import Terminal


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """config/schema.json holds what this prints."""
    terminal.print_json(schema(), indent=1)
    return 0
