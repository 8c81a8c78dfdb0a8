"""GGUF files as experts: read once, tried out once, kept on the shelf while they are used."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import Struct

from ..core import ChatRequest
from ..errors import NotReady
from ..experts import Expert
from ..replies import ModelCard
from .dialogue.template import may_think, takes_tools
from .eviction import Source
from .llama.header import Header
from .llama.library import INSTALL
from .llama.model import LlamaModel
from .llama.parts import list_parts, name_of, read_headers
from .llama.size import Size, choose_shape, choose_size
from .location import Stamp, confine, stamp
from .probe import probe
from .resident import Resident, wants_tools


class Found(Struct, frozen=True):
    """What a file says of itself, as long as its stamp stays the same."""

    file: Path
    stamps: tuple[Stamp, ...]
    header: Header
    size: Size


class Gguf(Resident[Found]):
    """One GGUF file, or the first part of one that was split."""

    @property
    def writes_text(self) -> bool:
        """Whether it is a language model that can be loaded, as far as is known without loading it."""
        try:
            return self._look().header.writes_text and not self.trouble("")
        except NotReady:
            return False

    @property
    def _name(self) -> str:
        return name_of(Path(self._expert.model_path))

    def trouble(self, model: str) -> str:
        if find_spec("llama_cpp") is None:
            return f"llama-cpp-python is not installed: run `{INSTALL}`"
        return super().trouble(model)

    def _stamp(self, place: Path) -> tuple[Stamp, ...]:
        return tuple(stamp(part) for part in list_parts(place))

    def _read(self, place: Path, stamps: Any) -> Found:
        if not place.is_file():
            raise NotReady(f"{place.name} is a folder, not a GGUF file", reason="unusable model_path")
        header = read_headers([confine(str(part), self._folder) for part in list_parts(place)])
        return Found(place, stamps, header, choose_size(header, self._engine, context=self._asked_context))

    def _lacks(self, request: ChatRequest, found: Found) -> str:
        if wants_tools(request) and not takes_tools(found.header.template):
            return "does not support tools"
        if request.completion is not None and request.completion.suffix and not _fills(found.header):
            return "does not support insert"
        return ""

    def _card(self, found: Found) -> ModelCard:
        header = found.header
        can = {"tools": takes_tools(header.template), "thinking": may_think(header.template), "insert": _fills(header)}
        return ModelCard(
            name=self._name, kind="model", size=header.file_bytes, modified=found.stamps[0][1] / 1e9,
            family=header.architecture, parameter_size=header.parameter_size, quantization=header.quantization,
            context_length=found.size.context_length, form="gguf", template=header.template, info=header.info,
            license=header.license, capabilities=("completion", *(name for name, is_able in can.items() if is_able)),
        )

    def _source(self, found: Found) -> Source[LlamaModel]:
        header = found.header
        return Source(
            name=self._name, key=(found.stamps, found.size), size_bytes=found.size.least_bytes,
            load=lambda: self._open(found), family=header.architecture, parameter_size=header.parameter_size,
            quantization=header.quantization,
        )

    def _open(self, found: Found) -> LlamaModel:
        """A file is tried out in a process of its own before this one trusts it."""
        if found.stamps not in self._shelf.proven:
            probe("gguf", found.file, size_bytes=found.header.file_bytes)
            self._shelf.proven.add(found.stamps)
        shape = choose_shape(found.header, found.size, spare_bytes=self._shelf.spare_bytes())
        return LlamaModel(found.file, found.header, shape=shape, context_length=found.size.context_length)


def is_gguf(expert: Expert) -> bool:
    """Whether a local expert's model is a GGUF file, as it says or else by its path; any other path means ONNX."""
    return expert.format == "gguf" if expert.format else expert.model_path.casefold().endswith(".gguf")


def _fills(header: Header) -> bool:
    names = ("fim_pre_token_id", "fim_suf_token_id", "fim_mid_token_id", "prefix_token_id", "middle_token_id")
    return any(f"tokenizer.ggml.{name}" in header.values for name in names)
