"""Reads and checks the two files, and tells every fault at once with file, path and line."""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from ..core import Expert
from ..errors import ConfigError
from .places import Path as JsonPath
from .places import find_lines, repeated_keys, spell
from .rules import check_experts
from .schema import FOREIGN, Config, ConfigFile, ExpertsFile, Section


class Sheet:
    """One JSON file under examination: its value, and the faults found in it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.faults: list[str] = []
        self.warnings: list[str] = []
        self.lines: dict[JsonPath, int] = {}
        self.value: dict[str, Any] = {}
        try:
            text = file.read_text(encoding="utf-8-sig")
            value = json.loads(text)
            self.lines = find_lines(text)
            for key in repeated_keys(text):
                self.warnings.append(f'{file}: the key "{key}" stands twice in one object; the last one counts')
        except OSError as error:
            self.faults.append(f"{file}: cannot be read: {error.strerror}")
        except json.JSONDecodeError as error:
            self.faults.append(f"{file}:{error.lineno}: not valid JSON: {error.msg}")
        except (UnicodeDecodeError, RecursionError):
            self.faults.append(f"{file}: not valid JSON: not UTF-8, or nested too deeply")
        else:
            if isinstance(value, dict):
                self.value = value
            else:
                self.faults.append(f"{file}:1: must be a JSON object")

    def where(self, path: JsonPath) -> str:
        line = self.lines.get(path) or self.lines.get(path[:-1], 1)
        return f"{self.file}:{line}: at {spell(path)}"

    def fault(self, path: JsonPath, text: str) -> None:
        self.faults.append(f"{self.where(path)}: {text}")

    def warn(self, path: JsonPath, text: str) -> None:
        self.warnings.append(f"{self.where(path)}: {text}")

    def build(self, kind: type, value: Any, path: JsonPath = ()) -> Any:
        """`value` as `kind`; every fault below `path` is noted, a faulty field is left at its default."""
        if not isinstance(value, dict):
            self.fault(path, f"expected an object, got {_name(value)}")
            return None
        kept: dict[str, Any] = {}
        hints = get_type_hints(kind, include_extras=True)
        required = {f.encode_name for f in msgspec.structs.fields(kind) if f.required}
        for key, inner in value.items():
            if key not in hints:
                self._judge_unknown(kind, key, (*path, key))
            elif inner is not None:
                self._keep(kept, key, (hints[key], inner, (*path, key)))
        missing = [name for name in sorted(required) if value.get(name) is None]
        for name in missing:
            self.fault(path, f'"{name}" is missing')
        if missing or not required <= kept.keys():
            return None
        return kind(**kept)

    def _keep(self, kept: dict[str, Any], key: str, task: tuple[Any, Any, JsonPath]) -> None:
        hint, inner, path = task
        item = _struct_in(hint)
        if item is not None and _is_sequence(hint):
            if not isinstance(inner, list):
                self.fault(path, f"expected a list, got {_name(inner)}")
                return
            built = [self.build(item, each, (*path, i)) for i, each in enumerate(inner)]
            kept[key] = tuple(each for each in built if each is not None)
        elif item is not None:
            built_one = self.build(item, inner, path)
            if built_one is not None:
                kept[key] = built_one
        else:
            try:
                kept[key] = msgspec.convert(inner, hint, strict=not (key == "id" and isinstance(inner, str)))
            except msgspec.ValidationError as error:
                self.fault(path, _plain(str(error)))

    def _judge_unknown(self, kind: type, key: str, path: JsonPath) -> None:
        foreign = FOREIGN.top if kind is ConfigFile else FOREIGN.expert if kind is Expert else frozenset()
        if key in foreign:
            self.warn(path, f'"{key}" belongs to LeMoE and has no effect here')
        else:
            self.fault(path, f'unknown field "{key}"')


def read_config(folder: Path) -> Config:
    """Both files of `folder`, checked.

    Raises ConfigError with every problem found, each as `file:line: at $.path: what`.
    """
    main = Sheet(folder / "config.json")
    settings = main.build(ConfigFile, main.value) or ConfigFile()
    categories = _categories(folder, settings, main)
    sheet = Sheet(categories)
    experts_file = sheet.build(ExpertsFile, sheet.value) or ExpertsFile()
    if not sheet.faults:
        check_experts(experts_file, sheet)
    problems = (*main.faults, *sheet.faults)
    if problems:
        raise ConfigError(problems)
    return Config(
        router=settings.router, ai_engine=settings.ai_engine, expert_runner=settings.expert_runner,
        server=settings.server, rate_limit=settings.rate_limit, log_prompts=settings.log_prompts,
        experts=experts_file.experts, folder=folder, files=(main.file, categories),
        warnings=(*main.warnings, *sheet.warnings),
    )


def schema() -> dict[str, Any]:
    """The JSON Schema of both files, generated from the structs."""
    _, parts = msgspec.json.schema_components([ConfigFile, ExpertsFile], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "moe configuration",
        "description": "config.json is a ConfigFile, experts.json an ExpertsFile.",
        "anyOf": [{"$ref": "#/$defs/ConfigFile"}, {"$ref": "#/$defs/ExpertsFile"}],
        "$defs": parts,
    }


def _categories(folder: Path, settings: ConfigFile, sheet: Sheet) -> Path:
    """Where experts.json is; a path that leaves the config folder's parent is a fault."""
    named = settings.router.categories_file
    if not named:
        return folder / "experts.json"
    home = folder.parent.resolve()
    path = (home / named).resolve()
    if not path.is_relative_to(home):
        sheet.fault(("router", "categories_file"), f"{named} lies outside {home}")
        return folder / "experts.json"
    if not path.exists() and (folder / Path(named).name).exists():
        return folder / Path(named).name
    return path


def _struct_in(hint: Any) -> type | None:
    """The struct that `hint` is, or is a sequence of; None for a plain type."""
    for candidate in (hint, *get_args(hint)):
        if isinstance(candidate, type) and issubclass(candidate, (Section, Expert)):
            return candidate
    return None


def _is_sequence(hint: Any) -> bool:
    return get_origin(hint) in (tuple, list) and get_origin(hint) not in (Union, types.UnionType)


def _name(value: Any) -> str:
    names = {"dict": "an object", "list": "a list", "str": "a string", "bool": "a boolean", "NoneType": "null"}
    return names.get(type(value).__name__, "a number")


def _plain(message: str) -> str:
    """msgspec's words, its own path dropped: ours names the whole one."""
    text = message.split(" - at `$")[0].replace("`", "")
    return text[:1].lower() + text[1:]
