"""JSON Schema -> GBNF, the grammars of llama.cpp: what the answer may be, letter by letter.

GBNF: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import unquote

from ...errors import UpstreamRefusal
from ..dialogue.prefixes import fold
from .integers import express_integer

MOST_RULES = 4000
DEEPEST = 48
# llama.cpp unrolls repetitions and takes no more than this; a longer list or text is simply not bounded.
MOST_REPEATED = 256
_PRIMITIVES = {
    "ws": r'| " " | "\n" [ \t]{0,20}',
    "char": r'[^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})',
    "string": r'"\"" char* "\""',
    "integer": r'"-"? ("0" | [1-9] [0-9]{0,15})',
    "number": r'integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "value": "object | array | string | number | boolean | null",
    "object": '"{" ws (string ":" ws value ws ("," ws string ":" ws value ws)*)? "}"',
    "array": '"[" ws (value ws ("," ws value ws)*)? "]"',
    "date": r'"\"" [0-9]{4} "-" [0-1] [0-9] "-" [0-3] [0-9] "\""',
    "time": r'"\"" [0-2] [0-9] ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,6})? ("Z" | [+-] [0-2] [0-9] ":" [0-5] [0-9])? "\""',  # noqa: E501
    "date-time": r'"\"" [0-9]{4} "-" [0-1] [0-9] "-" [0-3] [0-9] "T" [0-2] [0-9] ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,6})? ("Z" | [+-] [0-2] [0-9] ":" [0-5] [0-9]) "\""',  # noqa: E501
    "uuid": r'"\"" [0-9a-f]{8} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{12} "\""',
}
_NEEDS = re.compile(r"[a-z][a-z-]*")
_FORMATS = frozenset({"date", "time", "date-time", "uuid"})
_PLAIN = {"boolean": "boolean", "null": "null", "number": "number"}


def write_grammar(form: Literal["json"] | dict[str, Any]) -> str:
    """The grammar for a request's `format`. Raises UpstreamRefusal for a schema that has no meaning here."""
    writer = _Writer({"type": "object"} if form == "json" else form)
    return writer.write()


class _Writer:
    """One schema's rules. A sub-schema is an expression; what is referred to by name gets a rule of its own."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._rules: dict[str, str] = {}
        self._referred: dict[str, str] = {}
        self._depth = 0

    def write(self) -> str:
        self._rules["root"] = self._visit(self._schema)
        wanted = ["ws", *(name for rule in self._rules.values() for name in _NEEDS.findall(_without_texts(rule)))]
        while wanted:
            name = wanted.pop()
            if name in _PRIMITIVES and name not in self._rules:
                self._rules[name] = _PRIMITIVES[name]
                wanted += _NEEDS.findall(_without_texts(_PRIMITIVES[name]))
        return "\n".join(f"{name} ::= {rule}" for name, rule in self._rules.items())

    def _visit(self, schema: Any) -> str:
        if schema is True or schema == {}:
            return "value"
        if not isinstance(schema, dict):
            raise UpstreamRefusal(f"the schema has {json.dumps(schema)[:40]} where a schema is meant")
        self._depth += 1
        if self._depth > DEEPEST:
            raise UpstreamRefusal("the schema is nested too deeply")
        try:
            return self._express(schema)
        finally:
            self._depth -= 1

    def _express(self, schema: dict[str, Any]) -> str:
        if "$ref" in schema:
            return self._refer(str(schema["$ref"]))
        if "const" in schema:
            return _literal(schema["const"])
        if "enum" in schema:
            texts = {_spell_json(value): None for value in _listed(schema, "enum")}
            return self._name(fold(texts, spell=_quote, join=_join))
        for key in ("anyOf", "oneOf"):
            if key in schema:
                rest = {name: value for name, value in schema.items() if name != key}
                return self._choose(self._visit(_merge([rest, each])) for each in _listed(schema, key))
        if "allOf" in schema:
            rest = {name: value for name, value in schema.items() if name != "allOf"}
            return self._visit(_merge([rest, *(self._resolve(each) for each in _listed(schema, "allOf"))]))
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._choose(self._visit({**schema, "type": each}) for each in _listed(schema, "type"))
        return self._express_type(kind, schema)

    def _express_type(self, kind: Any, schema: dict[str, Any]) -> str:
        if kind == "object" or (kind is None and ("properties" in schema or "additionalProperties" in schema)):
            return self._express_object(schema)
        if kind == "array" or (kind is None and ("items" in schema or "prefixItems" in schema)):
            return self._express_array(schema)
        if kind == "string" or (kind is None and ("minLength" in schema or "maxLength" in schema)):
            return _express_string(schema)
        if kind == "integer":
            return express_integer(schema)
        if isinstance(kind, str) and kind in _PLAIN:
            return _PLAIN[kind]
        if kind is None:
            return "value"
        raise UpstreamRefusal(f"the schema's type {json.dumps(kind)[:40]} is none")

    def _express_object(self, schema: dict[str, Any]) -> str:
        """Properties come in the order of the schema. The rule n reads what may follow once something stands, the
        rule n' what may stand first: so a comma is where it belongs, whatever is left out."""
        known = schema.get("properties", {})
        if not isinstance(known, dict):
            raise UpstreamRefusal("the schema's properties must be an object")
        required = set(_names(schema.get("required", [])))
        more = schema.get("additionalProperties", not known)
        known = {name: each for name, each in known.items() if each is not False or name in required}
        known |= {name: more or True for name in sorted(required - known.keys())}
        pairs = [
            (self._name(f'{_literal(name)} ":" ws {self._visit(each)} ws'), name in required)
            for name, each in known.items()
        ]
        follow = first = ""
        if more is not False:
            other = self._name(f'string ":" ws {self._visit(more)} ws')
            follow = f'("," ws {other})*'
            first = f"({other} {follow})?"
        for pair, is_required in reversed(pairs):
            after, start = f'"," ws {pair} {follow}', f"{pair} {follow}"
            follow = self._name(after if is_required else _either(after, follow))
            first = self._name(start if is_required else _either(start, first))
        return f'"{{" ws {first} "}}"'

    def _express_array(self, schema: dict[str, Any]) -> str:
        is_tuple = "prefixItems" in schema or isinstance(schema.get("items"), list)  # the latter until draft 7
        if is_tuple:
            return self._express_tuple(schema)
        item = self._name(f"{self._visit(schema.get('items', True))} ws")
        least, most = _bounds(schema, "minItems", "maxItems")
        if most == 0:
            return '"[" ws "]"'
        rest = f'("," ws {item}){_times(max(least - 1, 0), None if most is None else most - 1)}'
        whole = f"{item} {rest}"
        return f'"[" ws {whole} "]"' if least else f'"[" ws ({whole})? "]"'

    def _express_tuple(self, schema: dict[str, Any]) -> str:
        """Each place with a schema of its own; more follow only where there have to be more."""
        places, rest = ("prefixItems", "items") if "prefixItems" in schema else ("items", "additionalItems")
        least, most = _bounds(schema, "minItems", "maxItems")
        leading = [f"{self._visit(each)} ws" for each in _listed(schema, places)][:most]
        if least > len(leading):
            item = self._name(f"{self._visit(schema.get(rest, True))} ws")
            leading += [item] * (least - len(leading))
        return '"[" ws ' + ' "," ws '.join(leading) + ' "]"'

    def _refer(self, reference: str) -> str:
        """A rule of its own, so that a schema may contain itself."""
        if reference not in self._referred:
            name = self._referred[reference] = f"ref{len(self._referred)}"
            self._rules[name] = "null"  # holds the place while the schema is read
            self._rules[name] = self._visit(self._find(reference))
        return self._referred[reference]

    def _resolve(self, schema: Any) -> Any:
        is_reference = isinstance(schema, dict) and "$ref" in schema
        return self._find(str(schema["$ref"])) if is_reference else schema

    def _find(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise UpstreamRefusal(f"the schema refers to {reference[:80]!r}, which is outside of it")
        found: Any = self._schema
        for step in filter(None, unquote(reference[1:]).split("/")):
            key = step.replace("~1", "/").replace("~0", "~")
            inner = dict(enumerate(found)) if isinstance(found, list) else found
            place = int(key) if isinstance(found, list) and key.isdecimal() and len(key) < 10 else key
            if not isinstance(inner, dict) or place not in inner:
                raise UpstreamRefusal(f"the schema refers to {reference[:80]!r}, which is not there")
            found = inner[place]
        return found

    def _choose(self, expressions: Iterable[str]) -> str:
        return self._name(" | ".join(dict.fromkeys(expressions)))

    def _name(self, expression: str) -> str:
        name = f"r{len(self._rules)}"
        if len(self._rules) > MOST_RULES:
            raise UpstreamRefusal("the schema is too large")
        self._rules[name] = expression
        return name


def _express_string(schema: dict[str, Any]) -> str:
    form = schema.get("format")
    if isinstance(form, str) and form in _FORMATS:
        return form
    least, most = _bounds(schema, "minLength", "maxLength")
    return "string" if not least and most is None else rf'"\"" char{_times(least, most)} "\""'


def _bounds(schema: dict[str, Any], least: str, most: str) -> tuple[int, int | None]:
    low, high = schema.get(least) or 0, schema.get(most)
    for value in (low, high):
        if value is not None and (type(value) is not int or value < 0):
            raise UpstreamRefusal(f"the schema's {least} and {most} must be whole numbers")
    if high is not None and low > high:
        raise UpstreamRefusal(f"the schema's {least} is more than its {most}")
    return min(low, MOST_REPEATED), high if high is not None and high <= MOST_REPEATED else None


def _either(one: str, other: str) -> str:
    """An alternative may be empty, but not at a rule's end: there the next rule would be taken for it."""
    return f"({one}) | {other}" if other else f"({one})?"


def _times(least: int, most: int | None) -> str:
    return f"{{{least},{'' if most is None else most}}}"


def _merge(schemas: list[Any]) -> dict[str, Any]:
    """All of `schemas` in one: properties and required names add up, anything else is the last one's."""
    merged: dict[str, Any] = {}
    for schema in schemas:
        if schema is True:
            continue
        if not isinstance(schema, dict):
            raise UpstreamRefusal("the schema combines what is no schema")
        before = dict(merged)
        merged |= schema
        both = [each.get("properties") for each in (before, schema)]
        if all(isinstance(each, dict) for each in both):
            merged["properties"] = {name: value for each in both for name, value in (each or {}).items()}
        if "required" in before and "required" in schema:
            merged["required"] = [*_names(before["required"]), *_names(schema["required"])]
    return merged


def _listed(schema: dict[str, Any], key: str, *, default: tuple[Any, ...] | None = None) -> list[Any]:
    found = schema.get(key, default)
    if not isinstance(found, (list, tuple)) or (not found and default is None):
        raise UpstreamRefusal(f"the schema's {key} must be a list that is not empty")
    return list(found)


def _names(found: Any) -> list[str]:
    if not isinstance(found, (list, tuple)) or not all(isinstance(name, str) for name in found):
        raise UpstreamRefusal("the schema's required must be a list of names")
    return list(found)


def _literal(value: Any) -> str:
    """A value's JSON as a text of the grammar."""
    return _quote(_spell_json(value))


def _spell_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _join(either: list[str], may_miss: bool) -> str:
    return f"({'|'.join(either)}){'?' if may_miss else ''}"


def _without_texts(rule: str) -> str:
    """A rule's names and signs only: what it spells out letter by letter names nothing."""
    return re.sub(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]', " ", rule)
