"""The tools in the Model Context Protocol's own types, which take a moment to import: only where they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_types import (
    CallToolResult,
    Implementation,
    ListToolsResult,
    ServerCapabilities,
    TextContent,
    Tool,
    ToolAnnotations,
    ToolsCapability,
)

from .. import __version__
from ..errors import ToolError, UnknownTool
from .base import Language, Outcome
from .telling import details
from .toolbox import Toolbox

NAME = "moe"
SERVER = Implementation(name=NAME, version=__version__)
CAPABILITIES = ServerCapabilities(tools=ToolsCapability(list_changed=False))
INSTRUCTIONS = (
    "Exact answers without a model: arithmetic, equations, dates, units, statistics, digests, subnets, regular "
    "expressions, JSON and more. Call a tool whenever a figure, a date or a conversion must be right."
)
# Nothing here changes anything, and nothing asks another machine.
_HARMLESS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, destructive_hint=False, open_world_hint=False)


def list_tools(toolbox: Toolbox) -> ListToolsResult:
    return ListToolsResult(tools=[
        Tool(name=tool.name, description=tool.description, input_schema=tool.schema, annotations=_HARMLESS)
        for tool in toolbox
    ])


def call_tool(
    toolbox: Toolbox, name: str, arguments: Mapping[str, Any] | None, *, language: Language = "en"
) -> CallToolResult:
    """What a tool has no answer to is told within the result, where the model that called it can read it.

    Raises UnknownTool, which the protocol wants as an error of its own.
    """
    try:
        outcome = toolbox.call(name, arguments or {}, language=language)
    except UnknownTool:
        raise
    except ToolError as error:
        return CallToolResult(content=[TextContent(text=error.message)], is_error=True)
    return CallToolResult(
        content=[TextContent(text=text) for text in _texts(outcome)],
        structured_content={"result": outcome.result, "text": outcome.text},
    )


def _texts(outcome: Outcome) -> list[str]:
    """The line that answers, and whatever stands under it."""
    return [outcome.text, *filter(None, ["\n".join(details(outcome))])]
