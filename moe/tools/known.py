"""Every tool there is, and every way to ask for one."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from ..errors import ConfigError
from .arithmetic import TOOLS as ARITHMETIC
from .base import Setting, Tool
from .dates.tools import TOOLS as DATES
from .digests import base64_codec, hash_text
from .equations.tools import solve_equation
from .extraction import regex_extract
from .figures import statistics_calc
from .integers import gcd_lcm, prime_factorize, roman_numeral
from .json_queries import json_query
from .law import TOOLS as LAW
from .loans import loan_payment
from .networks import subnet_calc
from .prose import text_analyze
from .questions import algebra, arithmetic, dates, law, measures, networks, texts
from .questions.recogniser import Recogniser
from .toolbox import Toolbox
from .units.conversion import unit_convert

TOOLS: tuple[Tool, ...] = (
    *ARITHMETIC, solve_equation, prime_factorize, gcd_lcm, roman_numeral, *DATES, unit_convert, statistics_calc,
    loan_payment, hash_text, base64_codec, subnet_calc, regex_extract, text_analyze, json_query, *LAW,
)
FAMILIES = (arithmetic, algebra, dates, measures, networks, texts, law)


class Toolkit(Struct, frozen=True):
    """The tools of one configuration, and what knows which of them a prompt asks for."""

    toolbox: Toolbox
    recogniser: Recogniser


def open_toolkit(setting: Setting, *, disabled: Iterable[str] = ()) -> Toolkit:
    """All tools but the disabled ones. Raises ConfigError for a name that no tool has."""
    gone = frozenset(disabled)
    unknown = sorted(gone - {tool.name for tool in TOOLS})
    if unknown:
        raise ConfigError(tuple(f'config.json: at $.tools.disabled: no tool is called "{name}"' for name in unknown))
    toolbox = open_toolbox(setting, disabled=gone)
    return Toolkit(toolbox, open_recogniser(toolbox))


def open_toolbox(setting: Setting, *, disabled: Iterable[str] = ()) -> Toolbox:
    """All tools but the disabled ones."""
    gone = frozenset(disabled)
    return Toolbox((tool for tool in TOOLS if tool.name not in gone), setting)


def open_recogniser(toolbox: Toolbox) -> Recogniser:
    """Of all questions that some tool in the box may answer."""
    return Recogniser(
        toolbox,
        readers=(reader for family in FAMILIES for reader in family.READERS),
        finders=(finder for family in FAMILIES for finder in family.FINDERS),
        cues={name: cue for family in FAMILIES for name, cue in family.CUES.items()},
    )
