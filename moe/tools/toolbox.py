"""The tools of one configuration, by name."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import structs

from ..errors import ToolError, UnknownTool
from .base import Language, Outcome, Setting, Tool

log = logging.getLogger("moe.tools")


class Toolbox:
    """What may be called; holds no state of calls. Thread-safe."""

    def __init__(self, tools: Iterable[Tool], setting: Setting) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._setting = setting

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __contains__(self, name: str) -> bool:
        return name in self._tools

    def find(self, name: str) -> Tool:
        """Raises UnknownTool."""
        try:
            return self._tools[name]
        except KeyError:
            raise UnknownTool(name) from None

    def call(self, name: str, arguments: Mapping[str, Any], *, language: Language = "en") -> Outcome:
        """Raises ToolError and nothing else: BadArguments, ToolTimeout and UnknownTool among it."""
        tool = self.find(name)
        try:
            return tool.call(arguments, structs.replace(self._setting, language=language))
        except ToolError:
            raise
        except Exception as error:  # the tool boundary: a fault of one tool must not end an answer
            log.exception("tool=%s failed", name)
            raise ToolError(f"{name} cannot work this out: {type(error).__name__}") from error
