"""config/schema.json is what editors check a user's files with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moe.config import schema
from moe.config.settings import ROOT
from tests.config.test_lemoe import LATER, LEMOE


def test_the_tracked_file_is_what_the_program_generates() -> None:
    text = (ROOT / "config" / "schema.json").read_text(encoding="utf-8")
    assert text == json.dumps(schema(), indent=1) + "\n", "python -m moe schema > config/schema.json"


@pytest.mark.parametrize(("name", "kind"), [("config", "ConfigFile"), ("experts", "ExpertsFile")])
@pytest.mark.parametrize("folder", [ROOT / "config", LEMOE], ids=["shipped", "lemoe"])
def test_the_examples_fit_it(folder: Path, name: str, kind: str) -> None:
    file = folder / f"{name}.json" if folder == LEMOE else folder / f"{name}.example.json"
    _check(json.loads(file.read_text(encoding="utf-8")), kind)


def test_it_takes_what_the_program_takes_and_refuses_the_rest() -> None:
    _check({"$schema": "x", **LATER}, "ConfigFile")
    for value, kind in (({"sever": {}}, "ConfigFile"), ({"server": {"port": 65536}}, "ConfigFile"),
                        ({"experts": [{"id": 1}]}, "ExpertsFile")):
        with pytest.raises(Exception, match="Failed validating"):
            _check(value, kind)


def _check(value: Any, kind: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    whole = schema()
    jsonschema.Draft202012Validator.check_schema(whole)
    jsonschema.validate(value, {"$ref": f"#/$defs/{kind}", "$defs": whole["$defs"]})
