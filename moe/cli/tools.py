"""The exact tools there are."""

from __future__ import annotations

import argparse

from ..tools.base import Tool
from ..tools.telling import describe
from .terminal import Terminal, table
from .toolbox import open_tools


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    with open_tools(options) as toolbox:
        tools = list(toolbox)
    if options.json:
        terminal.print_json([describe(tool) for tool in tools], indent=1)
        return 0
    rows = [(tool.name, usage(tool), _summary(tool)) for tool in tools]
    for line in table([("tool", "arguments", "what it does"), *rows]):
        terminal.print(line)
    return 0


def usage(tool: Tool) -> str:
    """Its arguments, those in brackets that may be left out."""
    required = set(tool.schema["required"])
    return " ".join(name if name in required else f"[{name}]" for name in tool.schema["properties"])


def _summary(tool: Tool) -> str:
    return tool.description.partition(". ")[0].rstrip(".")
