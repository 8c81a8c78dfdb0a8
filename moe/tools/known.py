"""Every tool there is, and every way to ask for one."""

from __future__ import annotations

from collections.abc import Iterable

from .base import Setting, Tool
from .questions.recogniser import Recogniser
from .toolbox import Toolbox

TOOLS: tuple[Tool, ...] = ()
FAMILIES = ()


def open_toolbox(setting: Setting, *, disabled: Iterable[str] = ()) -> Toolbox:
    """All tools but the disabled ones."""
    gone = frozenset(disabled)
    return Toolbox((tool for tool in TOOLS if tool.name not in gone), setting)


def open_recogniser(toolbox: Toolbox) -> Recogniser:
    return Recogniser(
        toolbox,
        readers=(reader for family in FAMILIES for reader in family.READERS),
        finders=(finder for family in FAMILIES for finder in family.FINDERS),
        cues={name: cue for family in FAMILIES for name, cue in family.CUES.items()},
    )
