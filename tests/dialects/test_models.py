"""Model lists and pages in both dialects."""

from __future__ import annotations

import json

import pytest

from moe.dialects import ollama, openai
from moe.replies import ModelCard

from . import golden

VIRTUAL = ModelCard(
    name="lemoe",
    kind="virtual",
    description="Routes each prompt\nto the fitting expert",
    routes_to="math (phi4:14b), general (gemma3:27b)",
    modified=1_700_000_000,
    context_length=32768,
    capabilities=("completion", "tools", "vision"),
)
EXPERT = ModelCard(name="math", system='Say """why""".', routes_to="phi4:14b", modified=1_700_000_000.25)
MODEL = ModelCard(
    name="hf.co:443/ann/phi4",
    kind="model",
    size=9_053_116_391,
    size_vram=9_000_000_000,
    digest="ac896e5b8b34",
    modified=1_700_000_000,
    expires=1_700_000_300,
    family="phi3",
    parameter_size="14.7B",
    quantization="Q4_K_M",
    context_length=16384,
)
CARDS = (VIRTUAL, EXPERT, MODEL)


def test_the_model_pages_are_written_as_before() -> None:
    pages = {
        "v1_models": openai.list_models(CARDS),
        "tags": ollama.tags(CARDS),
        "ps": ollama.ps(CARDS),
        "show_virtual": ollama.show(VIRTUAL),
        "show_expert": ollama.show(EXPERT, basename="Math"),
        "show_model": ollama.show(MODEL),
    }
    for name, page in pages.items():
        golden.assert_same(f"models/{name}.json", json.dumps(page, indent=2) + "\n")


@pytest.mark.parametrize("card", CARDS)
def test_every_page_tells_architecture_and_context(card: ModelCard) -> None:
    info = ollama.show(card)["model_info"]
    assert info[f"{info['general.architecture']}.context_length"] > 0


def test_latest_is_implied() -> None:
    assert ollama.tagged("lemoe") == "lemoe:latest"
    assert ollama.tagged("phi4:14b") == "phi4:14b"
    assert ollama.tagged("hub:5000/phi4") == "hub:5000/phi4:latest"


def test_the_model_that_stays_longest_comes_first() -> None:
    cards = [ModelCard(name=name, expires=expires) for name, expires in (("a", 10.0), ("b", 0.0), ("c", 20.0))]
    assert [entry["name"] for entry in ollama.ps(cards)["models"]] == ["b:latest", "c:latest", "a:latest"]
