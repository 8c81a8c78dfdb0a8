"""The tool that says by how many percent something changed."""

from __future__ import annotations

from ...errors import ToolError
from ..base import Outcome, Setting, tool
from ..numbers import Ambiguous, agree, exact, localise, read_number
from .sums import write

_LONGEST = 200
_TEXTS = {
    "en": ("from {old} to {new} is an increase of {percent}%", "from {old} to {new} is a decrease of {percent}%",
           "from {old} to {new} is no change (0%)"),
    "de": ("von {old} auf {new} ist eine Zunahme um {percent} %", "von {old} auf {new} ist eine Abnahme um {percent} %",
           "von {old} auf {new} ist keine Änderung (0 %)"),
    "es": ("de {old} a {new} es un aumento del {percent} %", "de {old} a {new} es una disminución del {percent} %",
           "de {old} a {new} no hay cambio (0 %)"),
}


@tool("arithmetic")
def percent_change(old: int | float | str, new: int | float | str, *, setting: Setting) -> Outcome:
    """Says by how many percent a value changed from an old to a new one, such as from 80 to 100: an increase of 25%.

    old: the value before, not 0
    new: the value after
    """
    written = [_write_down(old), _write_down(new)]
    language = agree(written, setting.language)
    if language is None:
        raise Ambiguous("points and commas are both used for decimals")
    is_settled = agree(written, "en") == "de"
    language = "en" if isinstance(old, float) or isinstance(new, float) else language
    before, after = (read_number(text, language, is_settled=is_settled) for text in written)
    if max(abs(each.numerator * each.denominator).bit_length() for each in (before, after)) > _LONGEST * 8:
        raise ToolError("the numbers are too large or too small")
    if not before:
        raise ToolError("a change from 0 is no percentage")
    share = (after - before) / abs(before)
    percent = share * 100
    signs = {name: localise(write(value), setting.language)
             for name, value in (("old", before), ("new", after), ("percent", abs(percent)))}
    text = _TEXTS[setting.language][0 if percent > 0 else 1 if percent < 0 else 2].format_map(signs)
    number = exact(percent) if percent.denominator == 1 else write(percent)
    difference = exact(after - before) if (after - before).denominator == 1 else write(after - before)
    working = f"({write(after)} - {write(before)}) / {write(abs(before))} * 100 = {write(percent)}"
    steps = (localise(working, setting.language),)
    return Outcome(result={"percent": number, "difference": difference}, text=text, steps=steps)


def _write_down(number: int | float | str) -> str:
    if (number.bit_length() > _LONGEST * 3) if isinstance(number, int) else len(str(number)) > _LONGEST:
        raise ToolError(f"a number of more than {_LONGEST} characters")
    return str(number).strip()
