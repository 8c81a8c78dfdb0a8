"""Structured output: what an answer must look like, and whether it does."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from decimal import Context, Decimal, localcontext
from hashlib import blake2b
from typing import Any, Literal
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from ..core import ChatRequest
from ..errors import BadRequest
from .circles import Circles
from .pattern import Pattern

# How long one look at a schema, or at an answer, may take.
LIMIT_S = 2.0
PATTERN_LIMIT_S = 0.5
LONGEST_REMARK = 400
MOST_KNOWN = 256
_ANY_OBJECT = {"type": "object"}
_FENCED = re.compile(r"\s*```[A-Za-z0-9_-]*[ \t]*\n(.*?)\n?[ \t]*```\s*", re.DOTALL)
_DATA = frozenset({"const", "enum", "default", "examples"})

Rule = Callable[[Any, Any, Any, Any], Iterator[Any] | None]


class Fault(Struct, frozen=True):
    """Why an answer does not do. `text` may quote it and is for the model; `public` names only the schema's parts."""

    public: str
    text: str


class TooCostly(Exception):
    """The schema makes more work than an answer is worth."""


class Forms:
    """Makes the forms of requests; thread-safe. Schemas that were found good are remembered by their digest."""

    def __init__(self) -> None:
        self._good: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, request: ChatRequest) -> Form | None:
        """What the request wants of its answer, None for nothing. Raises BadRequest for what is no schema."""
        if request.format is None or request.only_loads:
            return None
        form = Form(request.format)
        try:
            key = blake2b(msgspec.json.encode(request.format), digest_size=16).digest()
        except RecursionError:
            raise _refuse("it is too deep") from None
        with self._lock:
            is_known = key in self._good
        if not is_known:
            form.check_itself()
            with self._lock:
                self._good[key] = None
                if len(self._good) > MOST_KNOWN:
                    self._good.popitem(last=False)
        return form


class Form:
    """One request's form; for one thread at a time."""

    def __init__(self, wanted: Literal["json"] | dict[str, Any]) -> None:
        self.is_bare = wanted == "json"
        self.schema: dict[str, Any] = _ANY_OBJECT if wanted == "json" else wanted
        self._patterns: dict[str, Pattern] = {}
        self._until = 0.0

    def check_itself(self) -> None:
        """Raises BadRequest where the schema is not one."""
        self._until = time.monotonic() + LIMIT_S
        try:
            kind = self._make_kind()
            problem = next(self._open(kind, kind.META_SCHEMA).iter_errors(self.schema), None)
            if problem is not None:
                raise _refuse(f"at {_place(problem.absolute_path)}: {problem.message[:LONGEST_REMARK]}")
            self._check_parts(self.schema)
            Circles(self.schema, self._watch).refuse()
        except (TooCostly, TimeoutError, RecursionError):
            raise _refuse("it is too large or too deep") from None
        except _referencing_error() as error:
            raise _refuse(f"a reference leads nowhere: {error}") from None
        except ValueError as error:
            raise _refuse(str(error)[:LONGEST_REMARK]) from None

    def judge(self, text: str) -> Fault | None:
        """What is wrong with an answer, None for nothing. Raises BadRequest for a schema that leads nowhere."""
        try:
            value = msgspec.json.decode(text)
        except (ValueError, RecursionError) as error:
            return Fault("the answer is not JSON", f"it is not valid JSON: {error}")
        self._until = time.monotonic() + LIMIT_S
        try:
            problem = next(self._open(self._make_kind(), self.schema).iter_errors(value), None)
        except (TooCostly, TimeoutError, RecursionError):
            return Fault("the answer could not be checked in time", "it is too large or too deep")
        except _referencing_error() as error:
            raise _refuse(f"a reference leads nowhere: {error}") from None
        if problem is None:
            return None
        rule = _place(problem.absolute_schema_path)
        return Fault(f"the answer breaks {rule} of the schema",
                     f"at {_place(problem.absolute_path)}: {problem.message[:LONGEST_REMARK]}")

    def _check_parts(self, part: Any) -> None:
        """Compiles each pattern and looks at each reference."""
        if isinstance(part, list):
            for each in part:
                self._check_parts(each)
        if not isinstance(part, dict):
            return
        self._watch()
        reference, pattern = part.get("$ref"), part.get("pattern")
        if isinstance(reference, str) and "$id" not in self.schema and not _is_there(reference, self.schema):
            raise _refuse(f"the reference {reference[:100]!r} leads nowhere in it")
        named = part.get("patternProperties")
        named = named if isinstance(named, dict) else {}
        if named and "unevaluatedProperties" in part:
            raise _refuse("patternProperties beside unevaluatedProperties are not supported")
        for text in (*named, *((pattern,) if isinstance(pattern, str) else ())):
            self._pattern(text)
        for key, each in part.items():
            if key not in _DATA:
                self._check_parts(each)

    def _pattern(self, text: str) -> Pattern:
        found = self._patterns.get(text)
        if found is None:
            try:
                found = self._patterns[text] = Pattern(text)
            except ValueError as error:
                raise _refuse(f"the pattern {text[:100]!r} {error}") from None
        return found

    def _watch(self) -> float:
        """The seconds that are left. Raises TooCostly."""
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise TooCostly
        return left_s

    def _is_in(self, pattern: str, text: str) -> bool:
        return self._pattern(pattern).is_in(text, within_s=min(self._watch(), PATTERN_LIMIT_S))

    # -- the validator

    def _make_kind(self) -> Any:
        """The validator of the draft that the schema names, its every step watched."""
        from jsonschema import (  # type: ignore[import-untyped] # noqa: PLC0415 - takes a tenth of a second
            Draft202012Validator,
            validators,
        )

        draft: Any = validators.validator_for(self.schema, default=Draft202012Validator)
        own: Mapping[str, Rule] = {
            "pattern": self._check_pattern, "patternProperties": self._check_named,
            "additionalProperties": self._check_others, "uniqueItems": _check_unique, "multipleOf": _check_multiple,
        }
        rules = {name: self._watched(own.get(name, rule)) for name, rule in draft.VALIDATORS.items()}
        kind: Any = validators.extend(draft, rules)
        kind.evolve = _evolve
        return kind

    def _open(self, kind: Any, schema: Any) -> Any:
        """Formats are remarks, not rules; and nothing is ever fetched."""
        from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped] # noqa: PLC0415 - as above

        return kind(schema, registry=REGISTRY, format_checker=None)

    def _watched(self, rule: Rule) -> Rule:
        def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
            self._watch()
            yield from rule(validator, value, instance, schema) or ()

        return check

    def _check_pattern(self, validator: Any, pattern: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if isinstance(instance, str) and not self._is_in(pattern, instance):
            yield _error(f"{instance[:100]!r} does not match {pattern!r}")

    def _check_named(self, validator: Any, named: Any, instance: Any, schema: Any) -> Iterator[Any]:
        for pattern, part in named.items() if isinstance(instance, dict) else ():
            for name, value in instance.items():
                if self._is_in(pattern, name):
                    yield from validator.descend(value, part, path=name, schema_path=pattern)

    def _check_others(self, validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if not isinstance(instance, dict):
            return
        known, patterns = schema.get("properties", {}), tuple(schema.get("patternProperties", ()))
        others = [name for name in instance
                  if name not in known and not any(self._is_in(pattern, name) for pattern in patterns)]
        if allowed is False and others:
            yield _error(f"{others[0][:100]!r} is a property that is not allowed")
        for name in others if isinstance(allowed, dict) else ():
            yield from validator.descend(instance[name], allowed, path=name)


def _evolve(validator: Any, **changes: Any) -> Any:
    """For a part of a schema. The library's own would take its standard class wherever a part names its draft."""
    from attrs import evolve  # noqa: PLC0415 - comes with jsonschema

    return evolve(validator, **changes)


def strip_fence(text: str) -> str:
    """What stands in the code block that is all of `text`; else `text` itself."""
    found = _FENCED.fullmatch(text)
    return found[1] if found else text


def _check_unique(validator: Any, is_wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not is_wanted or not isinstance(instance, list):
        return
    seen = {msgspec.json.encode(_plain(item), order="sorted") for item in instance}
    if len(seen) < len(instance):
        yield _error("its items are not all different")


def _check_multiple(validator: Any, factor: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """As people count: 19.99 is a multiple of 0.01."""
    if isinstance(instance, bool) or not isinstance(instance, int | float):
        return
    with localcontext(Context(prec=1000)):
        if Decimal(str(instance)) % Decimal(str(factor)):
            yield _error(f"{instance!r} is not a multiple of {factor!r}")


def _plain(value: Any) -> Any:
    """Numbers that are equal written alike: 1.0 is 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _is_there(reference: str, schema: dict[str, Any]) -> bool:
    """Whether a JSON pointer within the schema leads to something; other names are left to the validator."""
    if not reference.startswith("#/"):
        return reference.startswith("#") or reference.startswith(("http://json-schema.org/", "https://json-schema.org/"))
    part: Any = schema
    for name in reference[2:].split("/"):
        name = unquote(name).replace("~1", "/").replace("~0", "~")
        if isinstance(part, list):
            part = part[int(name)] if name.isdecimal() and int(name) < len(part) else None
        else:
            part = part.get(name) if isinstance(part, dict) else None
        if part is None:
            return False
    return True


def _place(path: Any) -> str:
    return "/".join(str(step)[:60] for step in path)[:LONGEST_REMARK] or "its root"


def _refuse(why: str) -> BadRequest:
    return BadRequest(f"the JSON schema of the answer cannot be used: {why}", param="response_format")


def _error(text: str) -> Any:
    from jsonschema import ValidationError  # noqa: PLC0415 - as above

    return ValidationError(text)


def _referencing_error() -> type[Exception]:
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 - as above

    found: type[Exception] = Unresolvable
    return found
