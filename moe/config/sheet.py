"""One JSON file under examination: its value as typed structs, and every fault with file, path and line."""

from __future__ import annotations

import json
import math
import re
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from ..experts import Expert
from .places import Path as JsonPath
from .places import Places, spell
from .schema import FOREIGN, ConfigFile, ExpertsFile, Section

_ITEM = re.compile(r"\[(\d+)\]")
_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


class Sheet:
    """`is_readable` is False for a file that is missing or no JSON object: then the one fault says so.

    `readable_items`: for each list of structs that was built, the indexes of the items that could be.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.faults: list[str] = []
        self.warnings: list[str] = []
        self.value: dict[str, Any] = {}
        self.readable_items: dict[JsonPath, list[int]] = {}
        self._places = Places("{}")
        self.is_readable = self._read()

    def fault(self, path: JsonPath, text: str) -> None:
        self.faults.append(f"{self._where(path)}: {text}")

    def warn(self, path: JsonPath, text: str) -> None:
        self.warnings.append(f"{self._where(path)}: {text}")

    def build(self, kind: type, value: Any, path: JsonPath = ()) -> Any:
        """`value` as `kind`; every fault below `path` is noted, a faulty field is left at its default.

        None where a required field is missing or faulty.
        """
        if not isinstance(value, dict):
            self.fault(path, f"expected an object, got {_name(value)}")
            return None
        kept: dict[str, Any] = {}
        hints = get_type_hints(kind, include_extras=True)
        for key, inner in value.items():
            if key not in hints:
                self._judge_unknown(kind, key, (*path, key))
            elif inner is not None:
                self._keep(kept, hints[key], inner, path=(*path, key))
        required = {field.encode_name for field in msgspec.structs.fields(kind) if field.required}
        for name in sorted(required):
            if value.get(name) is None:
                self.fault(path, f'"{name}" is missing')
        return kind(**kept) if required <= kept.keys() else None

    def _read(self) -> bool:
        try:
            text = self.file.read_text(encoding="utf-8-sig")
            value = json.loads(text, parse_constant=_refuse_constant, parse_float=_read_float)
            self._places = Places(text)
        except OSError as error:
            self.faults.append(f"{self.file}: cannot be read: {error.strerror or error}")
        except json.JSONDecodeError as error:
            self.faults.append(f"{self.file}:{error.lineno}: not valid JSON: {error.msg}")
        except (ValueError, RecursionError) as error:
            self.faults.append(f"{self.file}: not valid JSON: {_explain(error)}")
        else:
            if isinstance(value, dict):
                self.value = value
                for path in self._places.repeated:
                    self.warn(path, f'the key "{path[-1]}" stands twice in one object; the last one counts')
                return True
            self.faults.append(f"{self.file}:1: must be a JSON object")
        return False

    def _where(self, path: JsonPath) -> str:
        return f"{self.file}:{self._places.line(path)}: at {spell(path)}{self._whose(path)}"

    def _whose(self, path: JsonPath) -> str:
        """Which expert a path leads into, by its label."""
        experts = self.value.get("experts")
        if len(path) < 2 or path[0] != "experts" or not isinstance(experts, list) or not isinstance(path[1], int):
            return ""
        entry = experts[path[1]]
        label = entry.get("label") if isinstance(entry, dict) else None
        return f' (expert "{label}")' if isinstance(label, str) else ""

    def _keep(self, kept: dict[str, Any], hint: Any, inner: Any, *, path: JsonPath) -> None:
        key = str(path[-1])
        item = _struct_in(hint)
        if item is None:
            try:
                kept[key] = msgspec.convert(inner, hint, strict=not (key == "id" and isinstance(inner, str)))
            except msgspec.ValidationError as error:
                self._complain(str(error), hint, path)
        elif get_origin(hint) is tuple:
            if not isinstance(inner, list):
                self.fault(path, f"expected a list, got {_name(inner)}")
                return
            built = [self.build(item, each, (*path, i)) for i, each in enumerate(inner)]
            kept[key] = tuple(each for each in built if each is not None)
            self.readable_items[path] = [i for i, each in enumerate(built) if each is not None]
        elif (whole := self.build(item, inner, path)) is not None:
            kept[key] = whole

    def _complain(self, message: str, hint: Any, path: JsonPath) -> None:
        """msgspec's words at the path they are about; a choice is told as one."""
        text, _, below = message.replace("`", "").partition(" - at ")
        steps = [int(step) for step in _ITEM.findall(below)]
        choices = _choices(hint, within=text.startswith("Invalid enum value"))
        if choices:
            subject = "each key " if below.startswith("key") else ""
            text = f"{subject}must be " + " or ".join(json.dumps(choice) for choice in choices)
        self.fault((*path, *steps), text[:1].lower() + text[1:])

    def _judge_unknown(self, kind: type, key: str, path: JsonPath) -> None:
        if key == "$schema" and kind in (ConfigFile, ExpertsFile):
            return
        foreign = FOREIGN.top if kind is ConfigFile else FOREIGN.expert if kind is Expert else frozenset()
        if key in foreign:
            self.warn(path, f'"{key}" belongs to LeMoE and has no effect here')
            return
        near = get_close_matches(key, kind.__struct_fields__, n=1)  # type: ignore[attr-defined]
        self.fault(path, f'unknown field "{key}"' + (f'; did you mean "{near[0]}"?' if near else ""))


def _struct_in(hint: Any) -> type | None:
    """The struct that `hint` is, or is a sequence of; None for a plain type."""
    for candidate in (hint, *get_args(hint)):
        if isinstance(candidate, type) and issubclass(candidate, (Section, Expert)):
            return candidate
    return None


def _choices(hint: Any, *, within: bool) -> tuple[Any, ...]:
    """What a value may be where only certain ones will do; `within`: of the items or keys of one that has some."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    parts = [part for part in get_args(hint) if part is not type(None)]
    is_optional = get_origin(hint) in (Union, UnionType) and len(parts) == 1
    is_collection = within and get_origin(hint) in (tuple, dict)
    return _choices(parts[0], within=within) if is_optional or is_collection else ()


def _name(value: Any) -> str:
    return _NAMES.get(type(value), "a number")


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _read_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number


def _explain(error: ValueError | RecursionError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not in UTF-8"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
