"""The text of equations, read by a small grammar into plain lists; whatever it does not know is refused."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from msgspec import Struct

from ...errors import ToolError
from ..base import Language
from ..numbers import NUMBER, agree, read_number

# What a parsed expression is made of: ["num", "3/2"], ["sym", "x"], ["pi"], ["neg", a], ["+", a, b], ["call", f, a].
Node = list[Any]

LONGEST = 1_000
DEEPEST = 40
MOST_EQUATIONS = 4
LARGEST_EXPONENT = 200
LONGEST_NUMBER = 60
RELATIONS = ("=", "<", ">", "<=", ">=", "!=")

_CALLS = {name: name for name in (
    "sqrt", "abs", "exp", "ln", "log", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
    "cosh", "tanh")}
_CALLS |= {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "lg": "log10", "wurzel": "sqrt", "raiz": "sqrt",
           "raíz": "sqrt", "sen": "sin", "√": "sqrt"}
_SIGNS = str.maketrans({
    "−": "-", "–": "-", "·": "*", "×": "*", "⋅": "*", "∙": "*", "÷": "/", "≤": "≤", "π": "π", "＝": "=", "\u00a0": " ",
    "\u202f": " ", "\t": " "})
_POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_TOKENS = re.compile(
    rf"(?P<number>{NUMBER})|(?P<name>[A-Za-zÄÖÜäöüßáéíóúñα-ωΑ-Ω]+(?:_?[0-9]+)?)|(?P<power>⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)"
    r"|(?P<relation><=|>=|==|!=|=<|=>|[=<>≤≥≠])|(?P<sign>\*\*|[-+*/^:()\[\]|√])")
_COMMON = {"==": "=", "=<": "<=", "=>": ">=", "≤": "<=", "≥": ">=", "≠": "!="}
_BREAKS = re.compile(r"[;\n\r]")
_RELATION = re.compile(r"[=<>≤≥≠]")


class Relation(Struct, frozen=True):
    """Two sides with the sign between them."""

    left: Node
    sign: str
    right: Node


def parse(text: str, language: Language, variable: str) -> list[Relation]:
    """Every equation and inequality of `text`. Raises ToolError."""
    if len(text) > LONGEST:
        raise ToolError(f"an equation of more than {LONGEST} characters")
    parts = split(text.translate(_SIGNS))
    if not parts:
        raise ToolError("there is no equation")
    numbers = [found["number"] for part in parts for found in _TOKENS.finditer(part) if found["number"]]
    written = agree(numbers, language)
    relations = [relation for part in parts for relation in _Parser(part, written, variable).read()]
    if len(relations) > MOST_EQUATIONS:
        raise ToolError(f"more than {MOST_EQUATIONS} equations")
    return relations


def split(text: str) -> list[str]:
    """The equations of a system. A comma parts them, unless it stands in a number: two pieces that have a sign of
    relation each are two equations."""
    found: list[str] = []
    for line in _BREAKS.split(text):
        whole: list[str] = []
        for piece in line.split(","):
            if whole and not (_RELATION.search(whole[-1]) and _RELATION.search(piece)):
                whole[-1] += f",{piece}"
            else:
                whole.append(piece)
        found += (part.strip() for part in whole if part.strip())
    return found


def symbols(node: Node) -> set[str]:
    if node[0] == "sym":
        return {node[1]}
    return set().union(*(symbols(each) for each in node[1:] if isinstance(each, list)), set())


class _Parser:
    """Recursive descent over the tokens of one equation."""

    def __init__(self, text: str, language: Language | None, variable: str) -> None:
        self._language = language
        self._variable = variable
        self._tokens = list(_tokenise(text))
        self._place = 0
        self._depth = 0
        self._bars = 0

    def read(self) -> list[Relation]:
        """One, or two for a chain like "1 < x < 5"; an expression by itself is to be zero."""
        sides, signs = [self._sum()], list[str]()
        while self._kind() == "relation":
            signs.append(_COMMON.get(self._word(), self._word()))
            self._place += 1
            sides.append(self._sum())
        if self._place < len(self._tokens):
            raise ToolError(f"'{self._word()}' does not belong there")
        if not signs:
            return [Relation(sides[0], "=", ["num", "0"])]
        if len(signs) > 2 or (len(signs) == 2 and any(sign in ("=", "!=") for sign in signs)):
            raise ToolError("more than one sign of equality in an equation; part equations by ';'")
        return [Relation(sides[place], sign, sides[place + 1]) for place, sign in enumerate(signs)]

    def _kind(self) -> str:
        return self._tokens[self._place][0] if self._place < len(self._tokens) else ""

    def _word(self) -> str:
        return self._tokens[self._place][1] if self._place < len(self._tokens) else ""

    def _take(self, *words: str) -> str:
        word = self._word()
        if word in words and self._kind() == "sign":
            self._place += 1
            return word
        return ""

    def _sum(self) -> Node:
        node = self._product()
        while sign := self._take("+", "-"):
            node = [sign, node, self._product()]
        return node

    def _product(self) -> Node:
        node = self._signed()
        while True:
            if sign := self._take("*", "/", ":"):
                node = ["*" if sign == "*" else "/", node, self._signed()]
            elif self._begins():
                node = ["*", node, self._power()]
            else:
                return node

    def _begins(self) -> bool:
        """Whether a factor follows without a sign."""
        return (self._kind() == "name" or (self._kind() == "sign" and self._word() in ("(", "[", "√"))
                or (self._word() == "|" and not self._bars))

    def _signed(self) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ToolError("an equation nested too deep")
        sign = self._take("-", "+")
        node = self._signed() if sign else self._power()
        self._depth -= 1
        return ["neg", node] if sign == "-" else node

    def _power(self) -> Node:
        base = self._atom()
        while self._kind() == "power":
            base = ["^", base, _number(Fraction(self._word().translate(_POWERS)), is_exponent=True)]
            self._place += 1
        if self._take("^", "**"):
            return ["^", base, _bounded(self._signed())]
        return base

    def _atom(self) -> Node:
        kind, word = self._kind(), self._word()
        self._place += 1
        if kind == "number":
            value = read_number(word, self._language, is_settled=self._language is not None)
            return _number(value)
        if kind == "name" or word == "√":
            return self._name(word)
        if word in ("(", "["):
            return self._enclosed(")" if word == "(" else "]")
        if word == "|":
            self._bars += 1
            node = self._enclosed("|")
            self._bars -= 1
            return ["call", "abs", node]
        raise ToolError(f"'{word}' does not belong there" if word else "the equation breaks off")

    def _enclosed(self, end: str) -> Node:
        bars, self._bars = self._bars, self._bars if end == "|" else 0
        self._depth += 1
        if self._depth > DEEPEST:
            raise ToolError("an equation nested too deep")
        node = self._sum()
        if not self._take(end):
            raise ToolError(f"a '{end}' is missing")
        self._depth -= 1
        self._bars = bars
        return node

    def _name(self, word: str) -> Node:
        if word == self._variable:
            return ["sym", word]
        if word.lower() in _CALLS:
            return self._call(_CALLS[word.lower()])
        if word in ("pi", "Pi", "PI", "π"):
            return ["pi"]
        if word in ("e", "i"):
            return [word]
        if len(word) == 1 or word[1:].lstrip("_").isdigit():
            return ["sym", word]
        if len(word) == 2 and word.isalpha() and word.isascii():
            return ["*", self._name(word[0]), self._name(word[1])]
        raise ToolError(f"'{word[:20]}' is neither a function nor a variable that is known here")

    def _call(self, name: str) -> Node:
        """With its argument in brackets, or the next factors: "sin 2x"."""
        if self._word() in ("(", "["):
            self._place += 1
            return ["call", name, self._enclosed(")" if self._tokens[self._place - 1][1] == "(" else "]")]
        node = self._power()
        if node[0] == "num" and name != "sqrt" and self._kind() == "name":
            node = ["*", node, self._power()]
        return ["call", name, node]


def _tokenise(text: str) -> list[tuple[str, str]]:
    tokens, place = [], 0
    while place < len(text):
        if text[place] == " ":
            place += 1
            continue
        found = _TOKENS.match(text, place)
        if not found:
            raise ToolError(f"{ascii(text[place])} is no part of an equation")
        tokens.append((found.lastgroup or "", found[0]))
        place = found.end()
    return tokens


def _number(value: Fraction, *, is_exponent: bool = False) -> Node:
    if max(abs(value.numerator), value.denominator) > 10**LONGEST_NUMBER:
        raise ToolError(f"a number of more than {LONGEST_NUMBER} digits")
    if is_exponent and abs(value) > LARGEST_EXPONENT:
        raise ToolError(f"an exponent over {LARGEST_EXPONENT}")
    return ["num", str(value)]


def _bounded(node: Node) -> Node:
    """An exponent that is no tower of numbers."""
    if node[0] == "num":
        return _number(Fraction(node[1]), is_exponent=True)
    if node[0] == "neg":
        return ["neg", _bounded(node[1])]
    if not symbols(node) and any(each[0] == "^" for each in _walk(node)):
        raise ToolError("a power as an exponent")
    return node


def _walk(node: Node) -> list[Node]:
    return [node, *(inner for each in node[1:] if isinstance(each, list) for inner in _walk(each))]
