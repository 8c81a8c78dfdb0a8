"""Questions that are an equation, an inequality or a system of them."""

from __future__ import annotations

import re

from ...errors import ToolError
from ..base import Language
from ..equations.grammar import parse, symbols
from . import looks
from .question import Asked, Question, Reader, is_unsettled
from .spelling import Phrase

_X = r"(?P<variable>[a-z])"
_E = r"(?P<equation>[^?!]*?[=<>≤≥≠][^?!]*)"
_KIND: dict[Language, str] = {
    "en": r"(?:(?:the |this |these )?(?:following )?(?:quadratic |linear |cubic )?"
          r"(?:equation|equations|inequality|inequalities|system(?: of equations)?) ?:? )?",
    "de": r"(?:(?:die |das |diese |dieses )?(?:folgende )?(?:quadratische |lineare )?"
          r"(?:gleichung|gleichungen|ungleichung|(?:gleichungs)?system) ?:? )?",
    "es": r"(?:(?:la |el |las |esta |este )?(?:siguiente )?"
          r"(?:ecuación|ecuaciones|inecuación|desigualdad|sistema(?: de ecuaciones)?)(?: cuadrática| lineal)?"
          r" ?:? )?",
}
_DO = r"(?:löse|lösen sie|lös|auflösen|lösen)(?: mir)?(?: bitte)?"
_SOLVE: dict[Language, tuple[str, ...]] = {
    "en": (
        rf"solve(?: for {_X}(?: in| if|:|,)?)?:? {_KIND['en']}{_E}",
        rf"solve:? {_KIND['en']}{_E},? for {_X}",
        rf"(?:what is|what's|find|calculate|compute|determine) (?:the value of )?{_X},?:? (?:if|when|in|for|where|"
        rf"such that|given(?: that)?) {_KIND['en']}{_E}",
        rf"(?:if|given(?: that)?) {_E}(?:, ?| )(?:then )?(?:what is|what's|find|calculate) (?:the value of )?{_X}",
        rf"(?:find|get|calculate) {_X},?:? {_E}",
        rf"(?:for )?(?:what|which) (?:values? of )?{_X} (?:is|are|does|do|satisf(?:y|ies)|solves?|makes?|fulfils?) "
        rf"{_KIND['en']}{_E}(?: true| hold)?",
        rf"{_E}[,.;:] ?(?:what is|what's|find|solve for|calculate) (?:the value of )?{_X}",
        r"(?:what (?:is|are)|find|give) (?:all )?(?:the )?(?:real )?(?:solutions?|roots?) (?:of|to|for) "
        rf"{_KIND['en']}{_E}",
    ),
    "de": (
        rf"{_DO} {_KIND['de']}{_E},? nach {_X}(?: auf)?",
        rf"{_DO}:? (?:nach {_X}(?: auf)?:? )?{_KIND['de']}{_E}",
        rf"(?:was ist|wie groß ist|wie viel ist|berechne|bestimme|finde|ermittle)(?: bitte)?:? {_X},?:? "
        rf"?(?:wenn|falls|für|in|aus|mit)?:? ?{_KIND['de']}{_E}(?: ist| gilt)?",
        rf"rechne(?: bitte)? {_X} aus:? {_E}",
        rf"(?:was|wie groß) {_X} ist, wenn {_E}(?: ist| gilt)?",
        rf"wenn {_E}(?: ist| gilt)?, ?(?:dann )?(?:was ist|wie groß ist) (?:dann )?{_X}",
        rf"{_E}[,.;:] ?(?:was ist|wie groß ist|berechne|bestimme) {_X}",
        rf"{_KIND['de']}{_E},? nach {_X} (?:auflösen|lösen|umstellen|umformen|aufgelöst)",
        rf"{_KIND['de']}{_E} (?:lösen|auflösen|berechnen|ausrechnen)",
        rf"(?:stelle|forme)(?: bitte)? {_KIND['de']}{_E} nach {_X} um",
        rf"für welche[sn]? (?:werte? (?:von )?)?{_X} (?:gilt|ist|sind|stimmt|gelten) {_KIND['de']}{_E}(?: erfüllt| "
        r"wahr)?",
        rf"welche[rs]? (?:werte? (?:von |für )?)?{_X} (?:löst|lösen|erfüllt|erfüllen) {_KIND['de']}{_E}",
        r"(?:was (?:ist|sind)|wie (?:lautet|lauten)|bestimme|berechne|nenne|finde)(?: mir)?(?: bitte)? (?:alle "
        r")?(?:die )?"
        rf"(?:lösung|lösungen|lösungsmenge|nullstellen) (?:von|der|für|des) {_KIND['de']}{_E}",
    ),
    "es": (
        rf"(?:resuelve|resuélveme|resolver|resuelva|soluciona)(?: para {_X}(?: en)?)?:? {_KIND['es']}{_E}",
        rf"(?:resuelve|resuélveme|resolver|resuelva):? {_KIND['es']}{_E},? (?:para|en) {_X}",
        rf"(?:despeja|despejar) (?:la )?{_X} (?:en|de|si)?:? ?{_KIND['es']}{_E}",
        rf"(?:para )?qué (?:valor(?:es)? (?:de )?)?(?:la )?{_X} (?:se cumple|cumplen?|satisfacen?|es|hacen? que) "
        r"(?:que )?"
        rf"{_KIND['es']}{_E}",
        r"(?:cuánto vale|cuánto es|cuál es el valor de|qué valor tiene|halla|hallar|encuentra|calcula|calcular|"
        rf"obtén|determina|qué es) (?:el valor de )?(?:la )?{_X}[,:]?(?: (?:si|cuando|en|de))?:? ?{_KIND['es']}{_E}",
        rf"si {_E}, ?(?:entonces )?¿?(?:cuánto vale|cuánto es|halla|cuál es el valor de) {_X}",
        rf"{_E}[,.;:] ?¿?(?:cuánto vale|cuánto es|halla|cuál es el valor de) {_X}",
        r"(?:cuáles son|cuál es|halla|encuentra|calcula) (?:todas )?(?:las? )?(?:soluci(?:ón|ones)|raíces) (?:de|para)"
        rf" {_KIND['es']}{_E}",
    ),
}
_JOINED = re.compile(r"(?<=[0-9A-Za-z)²³]) (?:and|und|y) (?=[-+0-9A-Za-z(])")
_LETTERS = re.compile(r"[^\W\d_²³¹]+")
_KNOWN = frozenset(("sin", "cos", "tan", "ln", "log", "exp", "sqrt", "abs", "pi", "π"))
# Of the base ten to some, of the base e to others.
_LOGARITHM = re.compile(r"(?<![a-z])log(?![a-z0-9_])", re.IGNORECASE)
_RELATION = re.compile(r"[=<>≤≥≠]")
_SOLVE_PATTERNS = {language: tuple(map(Phrase, those)) for language, those in _SOLVE.items()}
# Where no word asks for it: one equation in x, y or z that is no assignment.
_ALONE = re.compile(r"(?P<equation>[0-9xyz+*/^().,²³·× −-]+=[0-9xyz+*/^().,²³·× −-]+?)"
                    r"(?:(?:[,;:]| ) ?(?P<variable>[xyz]) ?=)?")
_SIDE = re.compile(r"[ (]*[xyz][ )]*")


def _read_equation(question: Question) -> Asked | None:
    if not _RELATION.search(question.folded) or looks.is_item(question.folded):
        return None
    for language, patterns in _SOLVE_PATTERNS.items():
        for pattern in patterns:
            found = pattern.fullmatch(question.folded)
            if found:
                start, end = found.span("equation")
                place = found.start("variable") if "variable" in found.re.groupindex else -1
                variable = question.text[place] if place >= 0 else ""
                asked = _equation(question.text[start:end], variable, language)
                if asked:
                    return asked
    return _read_alone(question)


def _read_alone(question: Question) -> Asked | None:
    """"2x + 5 = 13": not "x = 5", which sets x, nor "x = x + 1"."""
    found = _ALONE.fullmatch(question.folded)
    if not found or question.text != question.folded:
        return None
    sides = found["equation"].split("=")
    if any(_SIDE.fullmatch(side) for side in sides) or not any(digit.isdigit() for digit in found["equation"]):
        return None
    return _equation(found["equation"], found["variable"] or "", "en")


def _equation(text: str, variable: str, language: Language) -> Asked | None:
    """None unless it can be read as mathematics to the last letter."""
    equation = _JOINED.sub("; ", text.strip(" .,:"))
    if looks.is_no_sum(equation) or _LOGARITHM.search(equation) or is_unsettled(equation, language) or any(
            len(run) > 1 and run not in _KNOWN for run in _LETTERS.findall(equation)):
        return None
    try:
        relations = parse(equation, language, variable or "x")
    except ToolError:
        return None
    names = set().union(*(symbols(side) for each in relations for side in (each.left, each.right)))
    if not names or (variable and variable not in names):
        return None
    if len(relations) == 1 and not variable and len(names) > 1:
        return None
    chosen = variable or ("x" if "x" in names else min(names))
    return Asked("solve_equation", {"equation": equation, "variable": chosen}, language)


READERS: tuple[Reader, ...] = (Reader(_RELATION, _read_equation),)
