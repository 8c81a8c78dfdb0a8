"""A model in several files, as llama.cpp names them: name-00001-of-00003.gguf, and so on."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import structs

from ...errors import NotReady
from .header import Header, read_header

MOST_PARTS = 512
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})")


def name_of(file: Path) -> str:
    """The model's name: the file's without its ending and its number."""
    numbered = _PART.fullmatch(file.stem)
    return numbered[1] if numbered else file.stem


def is_later_part(file: Path) -> bool:
    numbered = _PART.fullmatch(file.stem)
    return numbered is not None and int(numbered[2]) > 1


def list_parts(file: Path) -> list[Path]:
    """All files of the model that `file` is, or is the first part of. Raises NotReady for a later part."""
    numbered = _PART.fullmatch(file.stem)
    if numbered is None:
        return [file]
    count = min(int(numbered[3]), MOST_PARTS)
    if is_later_part(file):
        first = f"{numbered[1]}-00001-of-{numbered[3]}{file.suffix}"
        raise NotReady(f"{file.name} is a part of a model: name the first, {first}", reason="unusable model_path")
    return [file.with_name(f"{numbered[1]}-{place:05d}-of-{numbered[3]}{file.suffix}") for place in range(1, count + 1)]


def read_headers(parts: list[Path]) -> Header:
    """The first part's header with the size of all. Raises NotReady."""
    first, *later = (read_header(part, is_whole=part is parts[0]) for part in parts)
    return structs.replace(
        first, parameters=sum((each.parameters for each in later), first.parameters),
        file_bytes=sum((each.file_bytes for each in later), first.file_bytes),
    )
