"""The tool that solves equations."""

from __future__ import annotations

import re

from ...errors import ToolError
from ..base import Outcome, Setting, tool
from .grammar import Relation, parse, symbols
from .told import tell

_NAME = re.compile(r"[A-Za-zα-ωΑ-Ω](?:_?[0-9]{1,3})?")
_BLANKS = re.compile(r"\s*[;\n\r]\s*")


@tool("algebra")
def solve_equation(equation: str, variable: str = "x", *, setting: Setting) -> Outcome:
    """Solves an equation, an inequality, or a system of up to four equations parted by ';', such as "x^2 - 4 = 0",
    "2x + 3 > 7" or "x + y = 3; x - y = 1". Gives exact and decimal solutions, complex roots too.

    equation: the equation as it is typed; ^ is the power, 2x a product, and sqrt, ln, sin and the like are known
    variable: the letter to solve for; a system is solved for all of its letters
    """
    if not _NAME.fullmatch(variable):
        raise ToolError("a variable is one letter, which a number may follow")
    relations = parse(equation, setting.language, variable)
    unknowns, parameters = _choose(relations, variable)
    if setting.solver is None:
        raise ToolError("equations cannot be solved here: no solver runs")
    asked = {"relations": [[each.left, each.sign, each.right] for each in relations], "unknowns": unknowns,
             "parameters": parameters}
    found = setting.solver.solve("solve", asked)
    return tell(" ".join(_BLANKS.sub("; ", equation.strip()).split()), unknowns, found, setting.language)


def _choose(relations: list[Relation], variable: str) -> tuple[list[str], list[str]]:
    """What to solve for, and the letters that stay. Raises ToolError where that is not clear."""
    names = sorted(set().union(*(symbols(side) for each in relations for side in (each.left, each.right))))
    if not names:
        raise ToolError("there is no variable in the equation")
    is_inequality = any(each.sign != "=" for each in relations)
    if is_inequality and len(names) > 1:
        raise ToolError("an inequality may hold one variable only")
    if len(relations) > 1 and not is_inequality:
        if len(names) > len(relations):
            raise ToolError(f"{len(relations)} equations do not settle {len(names)} variables")
        return names, []
    if variable in names:
        return [variable], [name for name in names if name != variable]
    if len(names) > 1:
        raise ToolError(f"'{variable}' is not in the equation; name one of {', '.join(names)} as the variable")
    return names, []
