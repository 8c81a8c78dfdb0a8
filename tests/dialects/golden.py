"""Golden files: what a dialect reads and writes, kept as text that a person can read.

MOE_UPDATE_GOLDEN=1 writes them anew; look at the difference before you keep it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec

GOLDEN = Path(__file__).with_name("golden")


def assert_same(name: str, actual: str) -> None:
    path = GOLDEN / name
    if os.environ.get("MOE_UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(actual.encode())
    assert path.exists(), f"{name} is missing: MOE_UPDATE_GOLDEN=1 writes it"
    assert actual == path.read_bytes().decode()


def bodies(folder: str) -> list[Path]:
    """The recorded requests of one endpoint."""
    return sorted(GOLDEN.joinpath(folder).glob("*.request.json"))


def picture(value: Any) -> str:
    """A struct as indented JSON: type names written out, fields left at their default left out."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        blank = {f.name: f.default for f in msgspec.structs.fields(value)}
        told = {name: getattr(value, name) for name in blank if getattr(value, name) != blank[name]}
        return {type(value).__name__: {name: _plain(field) for name, field in told.items() if field != {}}}
    if isinstance(value, dict):
        return {name: _plain(field) for name, field in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
