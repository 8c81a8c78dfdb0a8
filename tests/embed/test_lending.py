"""Which encoder makes vectors of clients' texts, and that it is opened once, and only when it is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moe.embed import Encoders, JoinedEmbedder

from .kit import make_encoder, make_pair, make_pieces

MINILM = "all-MiniLM-L6-v2"


def make_models(folder: Path, name: str) -> Path:
    """A models folder whose set-up made a pair, its MiniLM second, and chose the encoder `name`."""
    encoders = folder / "models" / "encoder"
    make_pair(encoders / "pair", make_pieces(encoders / "pieces"), make_encoder(encoders / MINILM))
    make_pair(encoders / "strange", encoders / "pieces")
    (encoders / "current").write_text(f"{name}\n")
    return folder / "models"


@pytest.mark.parametrize(("chosen", "lent"), [("pair", MINILM), (MINILM, MINILM), ("pieces", "pieces"),
                                              ("strange", "pieces")])
def test_of_a_pair_it_is_minilm_and_else_the_encoder_itself(tmp_path: Path, chosen: str, lent: str) -> None:
    encoders = Encoders(make_models(tmp_path, chosen))
    described = encoders.describe(None)
    assert described is not None
    opened = encoders.lend(described)
    assert (described.name, described.dimension) == (opened.name, opened.dimension) == (lent, described.dimension)
    assert described.whole_tokens == opened.whole_tokens == 16


def test_what_the_router_has_open_is_not_opened_again(tmp_path: Path) -> None:
    encoders = Encoders(make_models(tmp_path, "pair"))
    lent = encoders.describe(None)
    assert lent is not None
    aside = encoders.lend(lent)
    router = encoders.open(None)
    assert isinstance(router, JoinedEmbedder)
    assert aside not in router.parts
    assert encoders.lend(lent) is encoders.lend(lent) is router.parts[1]


def test_in_keyword_mode_the_one_made_at_set_up_is_opened_once(tmp_path: Path) -> None:
    models = make_models(tmp_path, "pair")
    encoders = Encoders(models)
    assert encoders.open("") is None
    lent = encoders.describe("")
    assert lent is not None
    first = encoders.lend(lent)
    assert first is encoders.lend(lent)
    card = models / "encoder" / MINILM / "encoder.json"
    card.write_text(card.read_text().replace("16", "8"))  # made anew
    assert encoders.lend(lent).whole_tokens == 8


def test_the_encoder_that_the_config_names_goes_before_that_of_set_up(tmp_path: Path) -> None:
    encoders = Encoders(make_models(tmp_path, "pair"))
    named = encoders.describe("pieces")
    assert named is not None and named.name == "pieces"
    elsewhere = encoders.describe("only/on/another/machine")
    assert elsewhere is not None and elsewhere.name == MINILM


def test_without_an_encoder_there_is_none(tmp_path: Path) -> None:
    assert Encoders(tmp_path / "models").describe(None) is None


def test_a_broken_card_is_not_listed_and_says_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models = make_models(tmp_path, MINILM)
    card = models / "encoder" / MINILM / "encoder.json"
    card.write_text(json.dumps({"name": "x"}))
    assert Encoders(models).describe(None) is None
    assert "run ./setup.sh" in caplog.text
