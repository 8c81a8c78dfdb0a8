"""Folders of ONNX graphs as experts: read once, tried out once, kept on the shelf while they are used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from ...core import ChatRequest
from ...replies import ModelCard
from ..dialogue.template import may_think, takes_tools
from ..eviction import Source
from ..location import Stamp, confine, stamp
from ..machine import usable_cores
from ..probe import probe
from ..resident import Resident, wants_tools
from .answer import Speaker
from .files import Files, find_files
from .model import MEMORY_SHARE
from .sheets import Sheets

SMALL_BYTES = 50 << 20


class Found(Struct, frozen=True, kw_only=True):
    """What a folder holds, as long as the stamps of its files stay the same."""

    files: Files
    stamps: tuple[Stamp, ...]
    size_bytes: int
    context_length: int
    family: str
    template: str


class Onnx(Resident[Found]):
    """A folder of ONNX graphs."""

    def _stamp(self, place: Path) -> tuple[Stamp, ...]:
        return tuple(stamp(file) for file in find_files(place).all)

    def _read(self, place: Path, stamps: Any) -> Found:
        files = find_files(place)
        for file in files.all:
            confine(str(file), self._folder)
        sheets = Sheets(files.folder)
        return Found(
            files=files, stamps=stamps, size_bytes=files.size_bytes, context_length=sheets.context_length,
            family=sheets.family, template=sheets.template,
        )

    def _lacks(self, request: ChatRequest, found: Found) -> str:
        if request.completion is not None and request.completion.suffix and not request.completion.template:
            return "does not support insert"
        if wants_tools(request) and not _takes_tools(found):
            return "does not support tools"
        return ""

    def _card(self, found: Found) -> ModelCard:
        can = {"tools": _takes_tools(found), "thinking": may_think(found.template)}
        return ModelCard(
            name=found.files.folder.name, kind="model", size=found.size_bytes, modified=found.stamps[0][1] / 1e9,
            family=found.family, form="onnx", template=found.template,
            context_length=min(self._asked_context or found.context_length, found.context_length),
            capabilities=("completion", *(name for name, is_able in can.items() if is_able)),
        )

    def _source(self, found: Found) -> Source[Speaker]:
        size, limit = found.size_bytes, self._asked_context
        threads = self._engine.n_threads or (1 if size < SMALL_BYTES else max(1, usable_cores() - 1))
        return Source(
            name=found.files.folder.name, key=("onnx", found.stamps, limit, threads),
            size_bytes=int(size * MEMORY_SHARE), load=lambda: self._open(found, threads=threads), family=found.family,
            form="onnx",
        )

    def _open(self, found: Found, *, threads: int) -> Speaker:
        """A folder is tried out in a process of its own before this one trusts it."""
        if found.stamps not in self._shelf.proven:
            place = confine(self._expert.model_path, self._folder)
            probe("onnx", place, size_bytes=found.size_bytes)
            self._shelf.proven.add(found.stamps)
        return Speaker(found.files, threads=threads, context_limit=self._asked_context)


def _takes_tools(found: Found) -> bool:
    return found.files.encoder is None and takes_tools(found.template)
