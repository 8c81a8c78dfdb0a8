"""The order of operations: an expression becomes a program for a machine with a stack."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from msgspec import Struct

from ...errors import ToolError
from ..base import Language
from .tokens import MANY, Token, tokenise

DEEPEST = 40

_OPERANDS = frozenset({"number", "constant", "function"})
_HOWMANY = {"round": (1, 2), "log": (1, 2), "comb": (2, 2), "perm": (2, 2), "pow": (2, 2)}


class Step(Struct, frozen=True):
    """`name`: "push", a constant as "pi", an operator, or a function, which takes `count` values from the stack."""

    name: str
    count: int = 0
    value: Fraction = Fraction(0)


def parse(text: str, language: Language) -> list[Step]:
    """Raises ToolError that says where it is not understood."""
    return Parser(tokenise(text, language)).parse()


class Parser:
    """Loosest first: + and -, then * / // mod and what stands side by side, then "15% of", signs, powers, marks after
    an operand. Each method puts its part on the program and tells whether that is a bare percentage."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0
        self._steps: list[Step] = []

    def parse(self) -> list[Step]:
        if not self._tokens:
            raise ToolError("the expression is empty")
        self._sum()
        if self._place < len(self._tokens):
            raise ToolError(f"'{self._peek()}' is not expected there")
        return self._steps

    def _peek(self, ahead: int = 0) -> str:
        place = self._place + ahead
        return self._tokens[place].text if place < len(self._tokens) else ""

    def _starts_operand(self, ahead: int = 0) -> bool:
        place = self._place + ahead
        if place >= len(self._tokens):
            return False
        token = self._tokens[place]
        return token.kind in _OPERANDS or token.text == "("

    def _take(self, *marks: str) -> str:
        """The next token if it is one of `marks`, else nothing."""
        if self._place < len(self._tokens):
            token = self._tokens[self._place]
            if token.kind == "mark" and token.text in marks:
                self._place += 1
                return token.text
        return ""

    def _emit(self, name: str, count: int = 0) -> None:
        self._steps.append(Step(name, count))

    def _sum(self) -> bool:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ToolError(f"nested more than {DEEPEST} deep")
        is_percent = self._product()
        while mark := self._take("+", "-"):
            is_share = self._product()
            self._emit(f"{mark}%" if is_share and not is_percent else mark)
            is_percent = is_percent and is_share
        self._depth -= 1
        return is_percent

    def _product(self) -> bool:
        is_percent = self._fraction()
        if is_percent is None:
            is_percent = self._share()
        while True:
            if mark := self._take("*", "/", "//", "mod"):
                self._share()
            elif self._peek() == "%" and self._starts_operand(1):
                mark = "mod"
                self._place += 1
                self._share()
            elif self._starts_operand():
                if self._tokens[self._place].kind == "number":
                    raise ToolError(f"there is no operator before '{self._peek()}'")
                mark = "*"
                self._share()
            else:
                return is_percent
            is_percent = False
            self._emit(mark)

    def _fraction(self) -> bool | None:
        """"3/4 of 80"; None where that does not stand there."""
        kinds = [token.kind for token in self._tokens[self._place : self._place + 3]]
        if kinds != ["number", "mark", "number"] or self._peek(1) != "/" or self._peek(3) != "of":
            return None
        self._steps += [Step("push", 0, self._tokens[self._place + away].value) for away in (0, 2)]
        self._emit("/")
        self._place += 4
        is_percent = self._sign()
        self._emit("*")
        return is_percent

    def _share(self) -> bool:
        start = self._place
        is_percent = self._sign()
        while (is_percent or self._tokens[start].text in ("half", "hälfte", "mitad")) and self._peek() in ("of", "off"):
            mark = self._take("of", "off")
            is_percent = self._sign() and mark == "of"
            self._emit("*" if mark == "of" else "off")
            if not is_percent:
                return False
        return is_percent

    def _sign(self) -> bool:
        count = minus = 0
        while mark := self._take("+", "-"):
            count += 1
            minus += mark == "-"
        if count > 4:
            raise ToolError("too many signs in a row")
        is_percent = self._power()
        if minus % 2:
            self._emit("neg")
        return is_percent

    def _power(self) -> bool:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ToolError(f"nested more than {DEEPEST} deep")
        is_percent = self._operand()
        if self._take("^"):
            self._sign()
            self._emit("^")
            is_percent = False
        self._depth -= 1
        return is_percent

    def _operand(self) -> bool:
        self._atom()
        is_percent = False
        while True:
            if self._peek() == "%" and not self._starts_operand(1):
                if self._peek(1) in ("-", "+") and self._is_tight(1) and not self._is_tight(0):
                    raise ToolError("'%' before a sign may be a percentage or a remainder: write 'mod' for a remainder")
                self._place += 1
                self._emit("percent")
                is_percent = True
            elif mark := self._take("!", "°", "²", "³"):
                if mark == "!" and self._peek() == "!":
                    raise ToolError("a double factorial is not known")
                self._emit(mark)
                is_percent = False
            elif self._peek() == "factorial" and not self._starts_operand(1) and self._peek(1) != "of":
                self._place += 1
                self._emit("!")
            else:
                return is_percent

    def _is_tight(self, ahead: int) -> bool:
        """Whether a mark clings to what follows it."""
        place = self._place + ahead
        return place + 1 < len(self._tokens) and self._tokens[place].end == self._tokens[place + 1].start

    def _atom(self) -> None:
        if self._place >= len(self._tokens):
            raise ToolError("the expression ends too early")
        token = self._tokens[self._place]
        self._place += 1
        if token.kind == "number":
            self._steps.append(Step("push", 0, token.value))
        elif token.kind == "constant":
            self._emit(token.text)
        elif token.kind == "function":
            self._call(token.text)
        elif token.text == "(":
            self._sum()
            self._close()
        else:
            raise ToolError(f"'{token.text}' is not expected there")

    def _close(self) -> None:
        if not self._take(")"):
            raise ToolError("a bracket is not closed")

    def _call(self, name: str) -> None:
        is_of = bool(self._take("of"))
        if is_of or not self._take("("):
            self._bare_operand(name, is_of=is_of)
            count = 1
        elif self._take(")"):
            raise ToolError(f"{name} needs an argument")
        else:
            self._sum()
            count = 1
            while self._take(";"):
                self._sum()
                count += 1
            self._close()
        least, most = _HOWMANY.get(name, (1, 1_000 if name in MANY else 1))
        if not least <= count <= most:
            raise ToolError(f"{name} takes {least if least == most else f'{least} to {most}'} arguments, not {count}")
        self._emit(name, count)

    def _bare_operand(self, name: str, *, is_of: bool) -> None:
        """What a function without brackets takes: "sin 30°", "ln 2pi"; refused where people read it in two ways."""
        is_sign = self._tokens[self._place - 1].start + 1 == self._tokens[self._place - 1].end
        is_negative = bool(self._take("-"))
        is_root = name in ("sqrt", "cbrt")
        first = self._place
        self._operand_of(name)
        if not is_of and not is_sign and self._tokens[first].kind == "number":
            if self._place == first + 1 and self._peek_kind() == "constant" and not is_root:
                self._operand_of(name)
                self._emit("*")
            elif self._peek() == "(" or (is_root and self._peek_kind() == "constant"):
                raise ToolError(f"it is not clear what {name} is of: write brackets")
        if not is_of and not is_root and self._peek() in ("/", "//"):
            raise ToolError(f"it is not clear whether {name} is of what stands before the {self._peek()}: "
                            "write brackets")
        if is_negative:
            self._emit("neg")

    def _peek_kind(self) -> str:
        return self._tokens[self._place].kind if self._place < len(self._tokens) else ""

    def _operand_of(self, name: str) -> None:
        if not self._starts_operand():
            raise ToolError(f"{name} needs an argument")
        self._depth += 1
        if self._depth > DEEPEST:
            raise ToolError(f"nested more than {DEEPEST} deep")
        self._operand()
        self._depth -= 1
