"""Recorded requests of real clients, and what each becomes inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from moe.dialects import ollama, openai, openai_completions
from moe.dialects.base import Dialect

from . import golden

ENDPOINTS: dict[str, Dialect] = {
    "openai_chat": openai.CHAT,
    "openai_completions": openai_completions.COMPLETIONS,
    "ollama_chat": ollama.CHAT,
    "ollama_generate": ollama.GENERATE,
}
CASES = [(folder, path) for folder in ENDPOINTS for path in golden.bodies(folder)]


@pytest.mark.parametrize(("folder", "path"), CASES, ids=lambda value: getattr(value, "stem", value))
def test_a_recorded_request_is_read_as_before(folder: str, path: Path) -> None:
    request = ENDPOINTS[folder].parse(path.read_bytes())
    name = path.name.replace(".request.json", ".parsed.json")
    golden.assert_same(f"{folder}/{name}", golden.picture(request))


def test_no_recorded_request_got_lost() -> None:
    assert len(CASES) >= 25
