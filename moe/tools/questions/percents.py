"""Questions about a change in percent, a share in percent, and so many percent more or less."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...errors import ToolError
from ..base import Language
from ..numbers import read_number
from .percent_phrases import CHANGES, LESS, MORE, SHARES
from .question import Asked, Question, Reader, is_unsettled

# From one year to another something changed, of which nothing is said.
_YEARS = range(1900, 2100)
_SIGN = re.compile(r"[$€£]")
_DIFFERENCE = re.compile(r"differen[cz]|unterschied|diferencia")
_FALL = re.compile(r"\b(?:drop|fall|fell|decline|decrease|sinkt|fällt|sank|fiel|rückgang|senkung|baja|cae|descenso|"
                   r"disminu\w*)\b")


def _read_change(question: Question) -> Asked | None:
    for language, pattern in CHANGES:
        if found := pattern.fullmatch(question.folded):
            values = _values(found)
            is_of_years = all(value.isdigit() and int(value) in _YEARS for value in values.values())
            if is_of_years or is_unsettled(question.folded, language) or \
                    _is_doubtful(question.folded, values, language):
                return None
            return Asked("percent_change", {"old": values["old"], "new": values["new"]}, language)
    return None


def _is_doubtful(folded: str, values: Mapping[str, str], language: Language) -> bool:
    """Whether it is about two currencies, about a difference, which has no direction, or about a fall that is none."""
    if len(set(_SIGN.findall(folded))) > 1 or _DIFFERENCE.search(folded):
        return True
    try:
        old, new = (read_number(values[name], language) for name in ("old", "new"))
    except ToolError:
        return True
    return bool(_FALL.search(folded)) and new > old


def _read_share(question: Question) -> Asked | None:
    """"What percent of 80 is 20?"."""
    for language, pattern in SHARES:
        if found := pattern.fullmatch(question.folded):
            values = _values(found)
            if is_unsettled(question.folded, language):
                return None
            return _ask(f"{values['new']} / {values['old']} * 100", language)
    return None


def _read_more(question: Question) -> Asked | None:
    """"20% more than 50", "80 € plus 19 % MwSt."."""
    for sign, patterns in (("+", MORE), ("-", LESS)):
        for language, pattern in patterns:
            if found := pattern.fullmatch(question.folded):
                values = _values(found)
                if is_unsettled(question.folded, language):
                    return None
                return _ask(f"{values['old']} {sign} {values['share']}%", language)
    return None


def _values(found: re.Match[str]) -> Mapping[str, str]:
    return {name: value.rstrip(".,").replace("−", "-") for name, value in found.groupdict().items()}


def _ask(expression: str, language: Language) -> Asked:
    return Asked("calculate", {"expression": expression}, language)


_CUE = re.compile(r"%|per ?cent|prozent|porcent|por ?ciento")
READERS: tuple[Reader, ...] = (Reader(_CUE, _read_change), Reader(_CUE, _read_share), Reader(_CUE, _read_more))
