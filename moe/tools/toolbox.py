"""The tools of one configuration, by name."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from threading import BoundedSemaphore
from typing import Any

from msgspec import structs

from ..errors import ToolError, ToolTimeout, UnknownTool
from .base import Language, LawBook, Outcome, Setting, Tool

log = logging.getLogger("moe.tools")

# So many characters, or members of a list, are much for one call; more calls with as much at once would leave no time
# for anybody else.
LONG = 2_000
LONG_AT_ONCE = 2
LONGEST_WAIT_S = 30.0


class Toolbox:
    """What may be called; holds no state of calls. Thread-safe."""

    def __init__(self, tools: Iterable[Tool], setting: Setting) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._setting = setting
        self._gate = BoundedSemaphore(LONG_AT_ONCE)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __contains__(self, name: str) -> bool:
        return name in self._tools

    @property
    def laws(self) -> LawBook | None:
        """What its tools look statutes up in."""
        return self._setting.laws

    def find(self, name: str) -> Tool:
        """Raises UnknownTool."""
        try:
            return self._tools[name]
        except KeyError:
            raise UnknownTool(name) from None

    def call(self, name: str, arguments: Mapping[str, Any], *, language: Language = "en") -> Outcome:
        """Raises ToolError and nothing else: BadArguments, ToolTimeout and UnknownTool among it.

        Of the calls that bring much along only a few run at the same time: the others wait, and whoever wants
        something else of this process need not.
        """
        tool = self.find(name)
        is_long = sum(len(value) for value in arguments.values() if isinstance(value, (str, list, dict))) > LONG
        if is_long and not self._gate.acquire(timeout=LONGEST_WAIT_S):
            raise ToolTimeout("too many long calls at once; try again later")
        try:
            return tool.call(arguments, structs.replace(self._setting, language=language))
        except ToolError:
            raise
        except Exception as error:  # the tool boundary: a fault of one tool must not end an answer
            log.exception("tool=%s failed", name)
            raise ToolError(f"{name} cannot work this out: {type(error).__name__}") from error
        finally:
            if is_long:
                self._gate.release()
