"""Writes config folders for tests, with one key a line so that line numbers can be counted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from moe.config import read_config
from moe.errors import ConfigError

KEYWORDS = 15
FALLBACK: Mapping[str, Any] = {"id": 0, "label": "fallback", "model_name": "auto"}


def expert(id: int, label: str, **more: Any) -> dict[str, Any]:
    """An expert against which no rule speaks."""
    keywords = [f"{label} {number}" for number in range(KEYWORDS)]
    return {"id": id, "label": label, "keywords": keywords, "model_name": "auto", **more}


def write_folder(
    parent: Path,
    *,
    config: Mapping[str, Any] | str = "{}",
    experts: Sequence[Mapping[str, Any]] | str = (FALLBACK,),
    **top: Any,
) -> Path:
    """The config folder `parent`/config; text is written as it is, `top` is laid beside the experts."""
    folder = parent / "config"
    folder.mkdir(parents=True, exist_ok=True)
    text = config if isinstance(config, str) else json.dumps(config, indent=1)
    (folder / "config.json").write_text(text, encoding="utf-8")
    text = experts if isinstance(experts, str) else json.dumps({"experts": list(experts), **top}, indent=1)
    (folder / "experts.json").write_text(text, encoding="utf-8")
    return folder


def problems_of(folder: Path) -> tuple[str, ...]:
    """What a start would refuse, each with the folder's path cut off."""
    with pytest.raises(ConfigError) as refused:
        read_config(folder)
    return tuple(problem.replace(f"{folder}/", "") for problem in refused.value.problems)


def warnings_of(folder: Path) -> tuple[str, ...]:
    return tuple(warning.replace(f"{folder}/", "") for warning in read_config(folder).warnings)
