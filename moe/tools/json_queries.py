"""JSONPath (RFC 9535) and the short forms people write, within a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any

import regex
from iregexp_check import check
from jsonpath_rfc9535 import JSONPathEnvironment, JSONPathError, JSONPathNode, Parser
from jsonpath_rfc9535.filter_expressions import FilterContext, FilterExpression
from jsonpath_rfc9535.function_extensions import ExpressionType, FilterFunction
from jsonpath_rfc9535.function_extensions._pattern import map_re
from jsonpath_rfc9535.segments import JSONPathChildSegment, JSONPathRecursiveDescentSegment, JSONPathSegment
from jsonpath_rfc9535.selectors import FilterSelector
from jsonpath_rfc9535.tokens import TokenStream

from ..errors import ToolError, ToolTimeout
from .base import Language, Outcome, Setting, tool
from .digests import one_line, show
from .extraction import check_counts
from .numbers import SAFE_INTEGER

LONGEST_PATH = 1_000
MOST_STEPS = 300_000
MOST_MATCHES = 10_000
MOST_RESULT_CHARS = 1_000_000
LIMIT_S = 1.0

_PIECE = re.compile(r"(\.\.|\.)?(?:(\*)|([^\s.\[\]()*'\",?]+))|(\.\.)(?=\[)|(\.)(?=\[)")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOLD: dict[Language, str] = {"en": "{path} is {found}", "de": "{path} ist {found}", "es": "{path} es {found}"}
_MANY: dict[Language, tuple[str, str, str]] = {
    "en": ("no match for {path}", "1 match for {path}: {found}", "{n} matches for {path}: {found}"),
    "de": ("kein Treffer für {path}", "1 Treffer für {path}: {found}", "{n} Treffer für {path}: {found}"),
    "es": ("ninguna coincidencia de {path}", "1 coincidencia de {path}: {found}",
           "{n} coincidencias de {path}: {found}"),
}


@tool("texts")
def json_query(json_str: str, path: str, *, setting: Setting) -> Outcome:
    """Finds values in a JSON document by a JSONPath (RFC 9535) or a short form. A path to one value gives it, any
    other gives the list of all. Examples: user.name, users[0].name, $..price, $.items[?@.price < 10].

    json_str: the JSON document
    path: the path, as $.users[*].name or users[0].name; an empty one is the whole document
    """
    document = _read(json_str)
    query = rewrite(path)
    one, values = _find(query, document)
    if one and not values:
        raise ToolError(f"nothing stands at {one_line(path)} in this document")
    result = values[0] if one else values
    name = show(path.strip()) or "$"
    shown = show(json.dumps(result, ensure_ascii=False))
    language = setting.language
    if one:
        return Outcome(result=result, text=_TOLD[language].format(path=name, found=shown))
    told = _MANY[language][min(len(values), 2)].format(path=name, n=len(values), found=shown)
    return Outcome(result=result, text=told)


class Written(float):
    """A number of more digits than a float holds, as it is written."""

    __slots__ = ("written",)
    written: str


def _read(text: str) -> Any:
    try:
        document = json.loads(text.removeprefix("\ufeff"), parse_float=_read_float, parse_constant=_refuse)
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise ToolError("this JSON is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ToolError("this JSON holds half a character, which no text can hold") from error
    except ValueError as error:
        raise ToolError(f"not JSON: {error}") from error
    return document


def _read_float(text: str) -> float:
    value = float(text)
    if len(text) <= 15 and abs(value) < 1e300:
        return value
    found = Written(value)
    found.written = text
    return found


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _settle(value: Any) -> Any:
    """Numbers that a float would change as text."""
    if isinstance(value, Written):
        return value.written if repr(float(value)) != value.written else float(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > SAFE_INTEGER:
        return str(value)
    if isinstance(value, list):
        return [_settle(each) for each in value]
    if isinstance(value, dict):
        return {name: _settle(each) for name, each in value.items()}
    return value


def rewrite(path: str) -> str:
    """As RFC 9535 writes it: "a.foo-bar[0]" is $.a['foo-bar'][0]. Raises ToolError for what cannot be read."""
    text = path.strip()
    if len(text) > LONGEST_PATH:
        raise ToolError(f"a path of more than {LONGEST_PATH} characters")
    place = 1 if text.startswith("$") and text[1:2] in ("", ".", "[") else 0
    if text[place:] in ("", "."):
        return "$"
    parts = ["$"]
    while place < len(text):
        if text[place] == "[":
            end = _close(text, place)
            parts.append(text[place:end])
            place = end
            continue
        found = _PIECE.match(text, place)
        if not found or (place > 0 and found[3] and not found[1] and text[place - 1] != "$"):
            raise ToolError(f"the path {one_line(text)} cannot be read from its character {place + 1} on")
        parts.append(_piece(found))
        place = found.end()
    return "".join(parts)


def _piece(found: re.Match[str]) -> str:
    dots, star, name, deep, _ = found.groups()
    lead = ".." if (dots or deep) == ".." else ""
    if star:
        return f"{lead or '.'}*"
    if not name:
        return lead
    return f"{lead or '.'}{name}" if _PLAIN_NAME.fullmatch(name) else f"{lead}[{_in_quotes(name)}]"


def _in_quotes(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _close(text: str, start: int) -> int:
    """Behind the bracket that closes the one at `start`."""
    depth, place, mark = 0, start, ""
    while place < len(text):
        letter = text[place]
        if mark:
            place += letter == "\\"
            mark = "" if letter == mark else mark
        elif letter in "'\"":
            mark = letter
        elif letter in "[]":
            depth += 1 if letter == "[" else -1
            if not depth:
                return place + 1
        place += 1
    raise ToolError(f"a bracket of the path {one_line(text)} is not closed")


class Clock:
    """Counts steps and seconds of one query. Raises ToolTimeout when either is spent."""

    def __init__(self) -> None:
        self._end = monotonic() + LIMIT_S
        self._steps = 0

    def tick(self) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS or monotonic() > self._end:
            raise ToolTimeout("the path takes too long on this document")

    def left(self) -> float:
        return max(self._end - monotonic(), 0.001)


class _Child(JSONPathChildSegment):
    def resolve(self, nodes: Iterable[JSONPathNode]) -> Iterator[JSONPathNode]:
        for node in super().resolve(nodes):
            self.env.clock.tick()  # type: ignore[attr-defined]
            yield node


class _Descent(JSONPathRecursiveDescentSegment):
    def resolve(self, nodes: Iterable[JSONPathNode]) -> Iterator[JSONPathNode]:
        for node in nodes:
            for each in self._visit(node):
                for selector in self.selectors:
                    self.env.clock.tick()  # type: ignore[attr-defined]
                    yield from selector.resolve(each)


class _Filter(FilterExpression):
    def evaluate(self, context: FilterContext) -> bool:
        context.env.clock.tick()  # type: ignore[attr-defined]
        return super().evaluate(context)


class _Parser(Parser):
    def parse_query(self, stream: TokenStream, *, in_filter: bool = False) -> Iterator[JSONPathSegment]:
        for segment in super().parse_query(stream, in_filter=in_filter):
            kind = _Descent if isinstance(segment, JSONPathRecursiveDescentSegment) else _Child
            yield kind(env=self.env, token=segment.token, selectors=segment.selectors)

    def parse_filter_selector(self, stream: TokenStream) -> FilterSelector:
        selector = super().parse_filter_selector(stream)
        inner = selector.expression
        return FilterSelector(env=self.env, token=selector.token, expression=_Filter(inner.token, inner.expression))


class _Environment(JSONPathEnvironment):
    parser_class = _Parser

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        for name in ("match", "search"):
            self.function_extensions[name] = _Matching(self.clock, name == "match")


class _Matching(FilterFunction):
    """The standard match and search, but with an end."""

    arg_types = [ExpressionType.VALUE, ExpressionType.VALUE]
    return_type = ExpressionType.LOGICAL

    def __init__(self, clock: Clock, is_whole: bool) -> None:
        self._clock = clock
        self._is_whole = is_whole
        self._known: dict[str, regex.Pattern[str] | None] = {}

    def __call__(self, text: object, pattern: object) -> bool:
        if not isinstance(text, str) or not isinstance(pattern, str):
            return False
        if pattern not in self._known:
            self._known[pattern] = self._compile(pattern)
        compiled = self._known[pattern]
        if compiled is None:
            return False
        run = compiled.fullmatch if self._is_whole else compiled.search
        try:
            return bool(run(text, timeout=self._clock.left(), concurrent=True))
        except TimeoutError as error:
            raise ToolTimeout("the path takes too long on this document") from error

    def _compile(self, pattern: str) -> regex.Pattern[str] | None:
        """None for what is no I-Regexp, which matches nothing."""
        self._clock.tick()
        if len(pattern) > LONGEST_PATH:
            raise ToolError(f"a pattern of more than {LONGEST_PATH} characters")
        check_counts(pattern)
        if not check(pattern):
            return None
        try:
            return regex.compile(map_re(pattern), cache_pattern=False)
        except regex.error:
            return None


def _find(query: str, document: Any) -> tuple[bool, list[Any]]:
    """Whether the query can find one value at most, and what it finds."""
    try:
        compiled = _Environment().compile(query)
        values: list[Any] = []
        size = 0
        for node in compiled.finditer(document):
            values.append(node.value)
            size += _measure(node.value)
            if len(values) > MOST_MATCHES or size > MOST_RESULT_CHARS:
                raise ToolError("the path finds more than can be given; make it narrower")
        return compiled.singular_query(), [_settle(each) for each in values]
    except JSONPathError as error:
        raise ToolError(f"the path {one_line(query)} cannot be used: {show(str(error))}") from error
    except (RecursionError, OverflowError, ValueError, TypeError, MemoryError) as error:
        raise ToolError(f"the path {one_line(query)} cannot be used on this document") from error


def _measure(value: Any) -> int:
    return len(json.dumps(value)) if isinstance(value, list | dict | str) else 20
