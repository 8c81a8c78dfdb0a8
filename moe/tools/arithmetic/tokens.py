"""The words and marks of an expression, in English, German and Spanish."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Literal

from msgspec import Struct

from ...errors import ToolError
from ..base import Language
from ..numbers import Ambiguous, agree, quote, read_number

LONGEST = 2_000

Kind = Literal["number", "constant", "function", "mark"]

CONSTANTS = {"pi": "pi", "π": "pi", "e": "e", "tau": "tau", "τ": "tau", "phi": "phi", "φ": "phi"}
FUNCTIONS = {
    "sqrt": "sqrt", "√": "sqrt", "square root": "sqrt", "quadratwurzel": "sqrt", "wurzel": "sqrt",
    "raíz cuadrada": "sqrt", "raiz cuadrada": "sqrt", "raíz": "sqrt", "cbrt": "cbrt", "∛": "cbrt", "cube root": "cbrt",
    "kubikwurzel": "cbrt", "raíz cúbica": "cbrt", "raiz cubica": "cbrt",
    "abs": "abs", "absolute value": "abs", "betrag": "abs", "valor absoluto": "abs",
    "round": "round", "floor": "floor", "ceil": "ceil", "ceiling": "ceil", "min": "min", "max": "max", "sum": "sum",
    "factorial": "factorial", "fakultät": "factorial", "comb": "comb", "perm": "perm", "pow": "pow", "exp": "exp",
    "log": "log", "ln": "ln", "lg": "log10", "log2": "log2", "log10": "log10", "lb": "log2",
    "sin": "sin", "sen": "sin", "cos": "cos", "tan": "tan", "asin": "asin", "acos": "acos", "atan": "atan",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "radians": "radians",
}
# Those that take more than one argument, between which a comma may stand.
MANY = frozenset({"round", "min", "max", "sum", "comb", "perm", "pow", "log"})
MARKS = {
    "**": "^", "^": "^", "to the power of": "^", "hoch": "^", "elevado a la": "^", "elevado a": "^",
    "//": "//", "*": "*", "×": "*", "·": "*", "∙": "*", "⋅": "*", "x": "*", "times": "*", "multiplied by": "*",
    "multiplicado por": "*", "multipliziert mit": "*", "mal": "*", "por": "*",
    "/": "/", "÷": "/", ":": "/", "divided by": "/", "geteilt durch": "/", "dividiert durch": "/", "durch": "/",
    "dividido entre": "/", "dividido por": "/", "dividido": "/", "entre": "/",
    "+": "+", "plus": "+", "más": "+", "mas": "+", "-": "-", "−": "-", "–": "-", "minus": "-", "menos": "-",
    "mod": "mod", "modulo": "mod", "módulo": "mod", "%": "%", "percent": "%", "per cent": "%", "prozent": "%",
    "por ciento": "%", "of": "of", "von": "of", "vom": "of", "aus": "of", "de la": "of", "del": "of", "de": "of",
    "off": "off", "(": "(", ")": ")", ",": ";", ";": ";", "!": "!", "°": "°", "deg": "°", "degree": "°",
    "degrees": "°", "grad": "°",
    "grados": "°", "²": "²", "³": "³", "squared": "²", "cubed": "³", "zum quadrat": "²", "im quadrat": "²",
    "al cuadrado": "²", "al cubo": "³",
}
FRACTIONS = {"half": Fraction(1, 2), "hälfte": Fraction(1, 2), "mitad": Fraction(1, 2)}

_DIGITS = r"[0-9]+(?:['’\u00a0\u202f][0-9]{3})*"
_WITH_COMMAS = re.compile(rf"(?:{_DIGITS}(?:[.,][0-9]+)*|[.,][0-9]+)(?:e[+-]?[0-9]{{1,4}}(?![0-9.,a-z]))?\.?(?![0-9.])")
_WITHOUT = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:e[+-]?[0-9]{1,4}(?![0-9.a-z]))?(?![0-9.])")
_BLANKS = re.compile(r"\s+")
_CHAIN = re.compile(r"[0-9],[0-9]+,[0-9]")
_UNKNOWN = re.compile(r"(?<![a-z])x\s*\Z")
_LEADING_ZERO = re.compile(r"(?<![0-9.,])0[0-9]")
_PHRASES = sorted({*CONSTANTS, *FUNCTIONS, *MARKS, *FRACTIONS}, key=len, reverse=True)
_WORDS = re.compile("|".join(
    re.escape(phrase) + (r"(?![^\W\d_])" if phrase[-1].isalpha() and phrase[-1] not in "πτφ" else "")
    + (r"(?![0-9])" if phrase in ("log",) else "")
    for phrase in _PHRASES
))


class Token(Struct, frozen=True):
    """`text` is what it is whatever the language, `start` and `end` where it stands in small letters."""

    kind: Kind
    text: str
    start: int
    end: int
    value: Fraction = Fraction(0)


def tokenise(text: str, language: Language) -> list[Token]:
    """Raises ToolError for what is no part of an expression, Ambiguous for numbers that may be two."""
    if len(text) > LONGEST:
        raise ToolError(f"an expression of more than {LONGEST} characters")
    folded = text.lower()
    if _UNKNOWN.search(folded):
        raise ToolError("'x' has no value here: solve_equation solves for it")
    rough = list(_scan(folded, language))
    numbers = [token.text for token in rough if token.kind == "number" and token.text not in FRACTIONS]
    written = agree(numbers, language)
    if written is None:
        raise Ambiguous("points and commas are both used for decimals")
    is_settled = agree(numbers, "en") == "de"
    return [_with_value(token, written, is_settled=is_settled) for token in rough]


def find_notation(tokens: Iterable[Token], language: Language) -> Language:
    """How the numbers of an expression are written; what shows nothing leaves it to `language`."""
    numbers = [token.text for token in tokens if token.kind == "number" and token.text not in FRACTIONS]
    return agree(numbers, language) or language


def _with_value(token: Token, language: Language, *, is_settled: bool) -> Token:
    if token.kind != "number":
        return token
    value = FRACTIONS.get(token.text)
    if value is None:
        value = read_number(token.text, language, is_settled=is_settled)
    return Token("number", token.text, token.start, token.end, value)


def _scan(folded: str, language: Language) -> Iterator[Token]:
    place = 0
    calls: list[bool] = []
    name = ""
    while place < len(folded):
        if blank := _BLANKS.match(folded, place):
            place = blank.end()
            continue
        found = (_WITHOUT if calls and calls[-1] else _WITH_COMMAS).match(folded, place)
        if found:
            yield Token("number", found[0].rstrip("."), place, found.end())
            place, name = found.end(), found[0]
            continue
        found = _WORDS.match(folded, place)
        if not found or (found[0][0].isalpha() and place and folded[place - 1].isalpha()):
            raise ToolError(f"'{quote(folded[place:], 20)}' is not understood: numbers, operators, brackets and the "
                            f"functions {', '.join(sorted(set(FUNCTIONS.values())))} are")
        if folded[:place].endswith("0") and found[0] == "x" and name == "0":
            raise ToolError("numbers to base 16 are not understood here")
        token = _name(found[0], place)
        if found[0] == "degrees" and folded[token.end:].lstrip().startswith("("):
            token = Token("function", "degrees", place, token.end)
        if token.text == "(":
            calls.append(name in MANY and _divides_arguments(folded, place, language))
        elif token.text == ")" and calls:
            calls.pop()
        yield token
        place, name = token.end, token.text


def _name(phrase: str, place: int) -> Token:
    end = place + len(phrase)
    if phrase in FRACTIONS:
        return Token("number", phrase, place, end)
    if phrase in CONSTANTS:
        return Token("constant", CONSTANTS[phrase], place, end)
    if phrase in FUNCTIONS:
        return Token("function", FUNCTIONS[phrase], place, end)
    return Token("mark", MARKS[phrase], place, end)


def _divides_arguments(text: str, start: int, language: Language) -> bool:
    """Whether in the call that opens at `start` every comma stands between arguments, none within a number."""
    depth, end = 0, start
    for end in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if not depth:
            break
    inside = text[start + 1 : end]
    if "," not in inside or ";" in inside or ", " in inside:
        return False
    if _LEADING_ZERO.search(inside.replace(",", " ")):
        raise Ambiguous("a comma may stand within a number or between two: write '; ' between arguments")
    if language == "en" or "." in inside or _CHAIN.search(inside):
        return True
    if re.search(r"[0-9],[0-9]", inside):
        raise Ambiguous("a comma may stand within a number or between two: write '; ' between arguments")
    return True
