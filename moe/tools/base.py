"""What a tool is: a plain typed function whose signature and docstring are its description for everybody else."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec
from msgspec import NODEFAULT, Struct

from ..errors import BadArguments, ToolError
from ..log import clean
from ..store.statute import LawCard, Norm, Section

Language = Literal["en", "de", "es"]
LANGUAGES: tuple[Language, ...] = ("en", "de", "es")
MOST_CHARS = 1_000_000
LONGEST_SHOWN = 40

_KINDS = re.compile(r"`([\w |]+)`")
_WORDS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_PARAMETER = re.compile(r"^(\w+): (.+)$")


class Outcome(Struct, frozen=True, kw_only=True):
    """What a tool found. `result` is what JSON can hold, a decimal string where a float would lie; `text` says it in
    one line in the language asked for; `steps` is the working, `source` where a fact stands. `body` is what a reader is
    shown after the line where that cannot say it all: the words of a statute. `is_whole`: it answers just what was
    asked, so that nobody has to judge it."""

    result: Any
    text: str
    steps: tuple[str, ...] = ()
    source: str = ""
    body: str = ""
    is_whole: bool = True


class Solver(Protocol):
    """Does in another process what may never end. Raises ToolError, ToolTimeout among them."""

    def solve(self, task: str, arguments: Mapping[str, Any]) -> Any: ...


class LawBook(Protocol):
    """The statutes that were imported; `Laws` in `moe/store/laws.py` says what each method gives. Raises NotStored."""

    def count(self) -> int: ...

    def cards(self) -> Sequence[LawCard]: ...

    def find_law(self, name: str) -> LawCard | None: ...

    def find_norms(self, card: LawCard, kind: str, first: str, last: str = "") -> list[Norm]: ...

    def find_following(self, card: LawCard, norm: Norm, most: int) -> list[Norm]: ...

    def find_kinds(self, card: LawCard, number: str) -> list[str]: ...

    def read_outline(self, card: LawCard, most: int) -> tuple[list[Section], list[Norm]]: ...

    def search_titles(
        self, words: Sequence[Sequence[str]]
    ) -> tuple[list[LawCard], list[tuple[LawCard, Section]]]: ...

    def search(self, wanted: str, card: LawCard | None, most: int) -> tuple[int, list[tuple[LawCard, Norm]]]: ...


def _now() -> datetime:
    return datetime.now().astimezone()


class Setting(Struct, frozen=True, kw_only=True):
    """What a call has beside its arguments. Without a `solver` or `laws`, tools that need them say so."""

    language: Language = "en"
    now: Callable[[], datetime] = _now
    solver: Solver | None = None
    laws: LawBook | None = None


class Parameter(Struct, frozen=True):
    """One argument; `default` is msgspec's NODEFAULT for one that must be given."""

    name: str
    type: Any
    default: Any


class Tool(Struct, frozen=True):
    """A function with its name, what it does, and the JSON schema of its arguments. Called like the function."""

    name: str
    family: str
    description: str
    schema: dict[str, Any]
    parameters: tuple[Parameter, ...]
    function: Callable[..., Outcome]

    def __call__(self, *arguments: Any, setting: Setting | None = None, **named: Any) -> Outcome:
        return self.function(*arguments, setting=setting or Setting(), **named)

    def call(self, arguments: Mapping[str, Any], setting: Setting) -> Outcome:
        """With arguments as they came from outside. Raises ToolError and nothing else, BadArguments for wrong ones."""
        return self.function(**self.read(arguments), setting=setting)

    def read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of the right types: a number may come as text. Raises BadArguments that names each wrong one."""
        known = {parameter.name for parameter in self.parameters}
        faults = [(f"$.{clean(name[:LONGEST_SHOWN])}", "unknown argument") for name in arguments if name not in known]
        read: dict[str, Any] = {}
        for parameter in self.parameters:
            value = arguments.get(parameter.name)
            if value is None and parameter.default is not NODEFAULT:
                continue
            if parameter.name not in arguments:
                faults.append((f"$.{parameter.name}", "missing"))
                continue
            try:
                read[parameter.name] = _convert(value, parameter.type)
            except ValueError as error:
                faults.append((f"$.{parameter.name}", str(error)))
        if faults:
            raise BadArguments(tuple(faults))
        return read


def _convert(value: Any, wanted: Any) -> Any:
    """Raises ValueError that says what is wrong, in JSON's words."""
    if isinstance(value, str) and len(value) > MOST_CHARS:
        raise ValueError(f"longer than {MOST_CHARS} characters")
    try:
        return msgspec.convert(value, wanted, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(_KINDS.sub(_spell, str(error))) from error
    except (RecursionError, OverflowError) as error:
        raise ValueError("not a value that can be read") from error


def _spell(kinds: re.Match[str]) -> str:
    names = [_WORDS.get(name, name) for name in kinds[1].split(" | ")]
    return " or ".join(dict.fromkeys(name for name in names if name != "null"))


def tool(family: str) -> Callable[[Callable[..., Outcome]], Tool]:
    """Makes a Tool of a function.

    What comes before the `*` in its signature are the arguments, typed; after it stands `setting: Setting`. The
    docstring says what it does; each line "name: text" in it is about an argument.
    """

    def make(function: Callable[..., Outcome]) -> Tool:
        hints = typing.get_type_hints(function, include_extras=True)
        words, told = _read_docstring(inspect.getdoc(function) or "")
        parameters = tuple(
            Parameter(name, hints[name], NODEFAULT if each.default is each.empty else each.default)
            for name, each in inspect.signature(function).parameters.items() if each.kind is not each.KEYWORD_ONLY
        )
        schema = _make_schema(parameters, told)
        return Tool(function.__name__, family, words, schema, parameters, function)

    return make


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """What the tool does, and what is said of each argument."""
    words: list[str] = []
    told: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        found = _PARAMETER.match(line)
        if found:
            last = found[1]
            told[last] = found[2]
        elif last and line.startswith(" "):
            told[last] += f" {line.strip()}"
        else:
            words.append(line.strip())
    return " ".join(filter(None, words)), told


def _make_schema(parameters: tuple[Parameter, ...], told: Mapping[str, str]) -> dict[str, Any]:
    """Of an object with these members, nothing else allowed."""
    members: dict[str, Any] = {}
    for parameter in parameters:
        member = _drop_null(msgspec.json.schema(parameter.type))
        member |= {"description": told[parameter.name]} if parameter.name in told else {}
        if parameter.default not in (NODEFAULT, None):
            member["default"] = parameter.default
        members[parameter.name] = member
    required = [parameter.name for parameter in parameters if parameter.default is NODEFAULT]
    return {"type": "object", "properties": members, "required": required, "additionalProperties": False}


def _drop_null(schema: dict[str, Any]) -> dict[str, Any]:
    """What may be left out is not required; that it may be null too would only puzzle models."""
    choices = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return dict(choices[0]) if len(choices) == 1 else schema


__all__ = ["LANGUAGES", "BadArguments", "Language", "LawBook", "Outcome", "Parameter", "Setting", "Solver", "Tool",
           "ToolError", "tool"]
