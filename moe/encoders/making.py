"""The folder of encoders: what is made is moved into place whole, and `current` names the one that serves."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import engines
from ..embed import CARD, GRAPH, open_reader
from ..errors import NotReady
from ..files import whole
from ..hub import HubError, digest
from .recipes import Bert, Recipe
from .sources import list_sources
from .workshop import EncoderError, Workshop

# Alike, alike, unlike: what any working encoder must see.
SAMPLES = ("How do I boil an egg?", "What is the best way to boil an egg", "My router keeps dropping the wifi")


def provide(recipe: Recipe, home: Path) -> str:
    """Make `recipe` under `home` unless it is there; gives one line to print.

    Raises EncoderError, and then has changed nothing.
    """
    folder = home / recipe.name
    if not is_whole(folder):
        make(recipe, home)
    card = read_card(folder)
    megabytes = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    return f"Encoder ready: {recipe.name}, {card['dimension']} dimensions, {megabytes:.0f} MB, from {card['source']}"


def make(recipe: Recipe, home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=home) as scratch:
        shop = Workshop(Path(scratch) / "product", Path(scratch), home / ".downloads")
        shop.product.mkdir()
        source, dimension = take_first(recipe, shop)
        write_card(recipe, shop.product, source=source, dimension=dimension)
        if (home / recipe.name).exists():
            (home / recipe.name).rename(shop.scratch / "former")
        shop.product.rename(home / recipe.name)
    shutil.rmtree(shop.downloads, ignore_errors=True)


def take_first(recipe: Recipe, shop: Workshop) -> tuple[str, int]:
    """Try the recipe's sources in turn; gives the one that worked and the dimension, raises EncoderError."""
    for take in list_sources(recipe):
        try:
            return take(shop), prove(shop.product)
        except (HubError, EncoderError) as error:
            print(f"  {error}", flush=True)
    raise EncoderError(f"{recipe.name} could not be made.")


def prove(folder: Path) -> int:
    """Embed three sentences with what was made; gives the dimension, raises EncoderError."""
    try:
        reader, session = open_reader(folder), engines.open_session(folder / GRAPH)
    except NotReady as error:
        raise EncoderError(str(error)) from error
    vectors = [session.run(["embedding"], reader.read(text, reader.most_tokens))[0][0] for text in SAMPLES]
    one, other, unlike = vectors
    if not np.isclose(one @ one, 1, atol=1e-3) or one @ other <= one @ unlike:
        raise EncoderError("The encoder that was made cannot tell like from unlike.")
    return int(one.size)


def write_card(recipe: Recipe, folder: Path, *, source: str, dimension: int) -> None:
    card: dict[str, Any] = {
        "name": recipe.name,
        "source": source,
        "sha256": digest(folder / GRAPH),
        "files": {file.name: digest(file) for file in sorted(folder.iterdir()) if file.name != GRAPH},
        "dimension": dimension,
        "max_tokens": recipe.max_tokens,
        "query_prefix": recipe.query_prefix,
        "passage_prefix": recipe.passage_prefix,
    }
    if isinstance(recipe, Bert):
        card["pooling"] = recipe.pooling
    write(folder / CARD, json.dumps(card, indent=2))


def name_choice(recipes: Sequence[Recipe]) -> str:
    """The folder in which these encoders are one."""
    return "+".join(recipe.name for recipe in recipes)


def choose(recipes: Sequence[Recipe], home: Path) -> None:
    """Let `current` name what is made of these encoders, which are there. Several count alike."""
    name = name_choice(recipes)
    if len(recipes) > 1:
        (home / name).mkdir(exist_ok=True)
        parts = [recipe.name for recipe in recipes]
        quick = next((recipe.name for recipe in recipes if recipe.is_quick), None)
        card = {"name": name, "parts": parts, "weights": [1] * len(parts), "quick": quick}
        write(home / name / CARD, json.dumps(card, indent=2))
    write(home / "current", name)


def find_chosen(home: Path) -> str | None:
    current = home / "current"
    name = current.read_text("utf-8").strip() if current.is_file() else ""
    return name if name and is_whole(home / name) else None


def is_whole(folder: Path) -> bool:
    """Whether all files of an encoder, or of each of its parts, are those that were made."""
    card = read_card(folder)
    if "parts" in card:
        return all(is_whole(folder.parent / part) for part in card["parts"])
    return bool(card) and all(
        (folder / name).is_file() and digest(folder / name) == sha256
        for name, sha256 in {GRAPH: card["sha256"], **card.get("files", {})}.items()
    )


def read_card(folder: Path) -> dict[str, Any]:
    """What is known of an encoder, nothing where there is none."""
    card = folder / CARD
    return dict(json.loads(card.read_text("utf-8"))) if card.is_file() else {}


def write(file: Path, text: str) -> None:
    """Whole or not at all."""
    with whole(file) as out:
        out.write(f"{text}\n".encode())
