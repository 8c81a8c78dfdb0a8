"""Which files make up a model in ONNX form, in the layouts that optimum and the hubs use."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from ...errors import NotReady

_ENCODER = "encoder_model.onnx"
_LATER = "decoder_with_past_model.onnx"
_PAIRED = "decoder_model.onnx"
_DECODERS = ("decoder_model_merged.onnx", _PAIRED)
_SHEETS = ("config.json", "generation_config.json", "tokenizer_config.json", "chat_template.json",
           "chat_template.jinja")
_WHOLE = ("model.onnx", "decoder_model_merged.onnx", _PAIRED, "model_quantized.onnx")


class Files(Struct, frozen=True, kw_only=True):
    """`folder` holds tokenizer.json and its like; `later` goes on where `decoder` can only begin."""

    folder: Path
    decoder: Path
    later: Path | None = None
    encoder: Path | None = None

    @property
    def size_bytes(self) -> int:
        """With the weights that large models keep in files of their own, named after the graph."""
        return sum(part.stat().st_size for graph in self._graphs for part in graph.parent.glob(f"{graph.name}*"))

    @property
    def all(self) -> list[Path]:
        """Every file that is read, the graphs first; weights beside them come with their graph."""
        sheets = (sheet for name in _SHEETS if (sheet := self.folder / name).is_file())
        return [*self._graphs, self.folder / "tokenizer.json", *sheets]

    @property
    def _graphs(self) -> list[Path]:
        return [graph for graph in (self.decoder, self.later, self.encoder) if graph is not None]


def find_files(path: Path) -> Files:
    """The model in a folder, or the one whose graph is at `path` itself. Raises NotReady."""
    home = path if path.is_dir() else path.parent
    folder = home.parent if home.name == "onnx" and not (home / "tokenizer.json").is_file() else home
    if not path.exists():
        raise _missing(f"{path.name} is not in {path.parent}: put it there")
    if not (folder / "tokenizer.json").is_file():
        raise _missing(f"{folder.name} has no tokenizer.json: put it there")
    if path.is_file():
        return Files(folder=folder, decoder=path)
    found = next((found for place in (home, home / "onnx") if (found := _look(folder, place)) is not None), None)
    if found is None:
        raise _missing(f"{folder.name} has none of {', '.join(_WHOLE)}: put one there")
    return found


def _look(folder: Path, place: Path) -> Files | None:
    encoder, later = place / _ENCODER, place / _LATER
    has_encoder = encoder.is_file()
    names = _DECODERS if has_encoder else _WHOLE
    decoder = next((place / name for name in names if (place / name).is_file()), None)
    if decoder is None:
        return None
    is_pair = decoder.name == _PAIRED and later.is_file()
    return Files(folder=folder, decoder=decoder, later=later if is_pair else None,
                 encoder=encoder if has_encoder else None)


def _missing(told: str) -> NotReady:
    return NotReady(told, reason="model file missing")
