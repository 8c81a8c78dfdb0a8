"""Experts' examples: those in experts.json, and those of a file of JSON lines beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from ..experts import Example, Expert
from .places import Path as JsonPath
from .sheet import Sheet

LIMIT_BYTES = 64 << 20
FAULTS_TOLD = 5

_decoder = msgspec.json.Decoder(Example | str)


class Packs(Struct, frozen=True):
    """Each expert's examples by its label, and the files they came from."""

    examples: dict[str, tuple[Example, ...]] = {}
    files: tuple[Path, ...] = ()


def read_packs(experts: Sequence[Expert], sheet: Sheet, folders: Sequence[Path]) -> Packs:
    """All experts' examples, each text once; `examples_file` is looked for in `folders`, in their order.

    What is wrong is noted on `sheet`, where the experts were read from.
    """
    placed = dict(zip(sheet.readable_items.get(("experts",), ()), experts, strict=True))
    examples: dict[str, tuple[Example, ...]] = {}
    files: list[Path] = []
    for index, expert in placed.items():
        own = [Example(text) for text in expert.examples]
        if expert.examples_file:
            file = _find(expert.examples_file, ("experts", index, "examples_file"), sheet, folders=folders)
            if file is not None:
                files.append(file)
                own += _read(file, sheet)
        if own:
            examples[expert.label] = _unique(own)
    return Packs(examples, tuple(dict.fromkeys(files)))


def _find(named: str, path: JsonPath, sheet: Sheet, *, folders: Sequence[Path]) -> Path | None:
    """The first such file; one that leads out of its folder, by dots or by symbolic links, is a fault and None."""
    try:
        for folder in folders:
            target = (folder / named).resolve()
            if Path(named).is_absolute() or not target.is_relative_to(folder.resolve()):
                sheet.fault(path, f"{named!r} leads out of {folder}")
                return None
            if target.is_file():
                return target
    except (OSError, ValueError, RuntimeError) as error:
        sheet.fault(path, f"{named!r} is not a usable path: {error}")
        return None
    sheet.fault(path, f"there is no file {named!r} in {' or '.join(map(str, dict.fromkeys(folders)))}")
    return None


def _read(file: Path, sheet: Sheet) -> list[Example]:
    """The file's rows; the first few bad lines are told, each with its number."""
    try:
        if file.stat().st_size > LIMIT_BYTES:
            raise OSError(0, f"larger than {LIMIT_BYTES >> 20} MB")
        lines = file.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        sheet.faults.append(f"{file}: cannot be read: {error.strerror or error}")
        return []
    rows: list[Example] = []
    faults: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _decoder.decode(line)
            rows.append(Example(row) if isinstance(row, str) else row)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            faults.append(f'{file}:{number}: not an example like {{"text": "..."}}: {error}')
    sheet.faults += faults[:FAULTS_TOLD]
    if len(faults) > FAULTS_TOLD:
        sheet.faults.append(f"{file}: {len(faults) - FAULTS_TOLD} more lines like these")
    return rows


def _unique(examples: Sequence[Example]) -> tuple[Example, ...]:
    """Without blank texts, and without those that differ in case and spaces only."""
    kept = {" ".join(example.text.casefold().split()): example for example in reversed(examples)}
    return tuple(example for key, example in reversed(kept.items()) if key)
