"""OpenAI's tokens back to text, by a table in the models folder or LiteLLM's."""

from __future__ import annotations

import base64
from importlib.util import find_spec
from pathlib import Path

import pytest

from moe.embed import OpenAiTokens
from moe.errors import BadRequest, NotReady

WORDS = (b"soup", b" and", b" salt", "\N{HOT BEVERAGE}".encode()[:2], "\N{HOT BEVERAGE}".encode()[2:])


def write_table(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [base64.b64encode(word) + b" %d\n" % rank for rank, word in enumerate(WORDS)]
    (folder / "cl100k_base.tiktoken").write_bytes(b"".join(lines))
    return folder


def test_tokens_are_joined_before_they_are_read_as_text(tmp_path: Path) -> None:
    tokens = OpenAiTokens(write_table(tmp_path))
    assert tokens.decode([0, 1, 2]) == "soup and salt"
    assert tokens.decode([3, 4]) == "\N{HOT BEVERAGE}"
    assert tokens.decode([0, 3]) == "soup\N{REPLACEMENT CHARACTER}"  # cut where the client's window ended
    with pytest.raises(BadRequest, match="cl100k_base"):
        tokens.decode([0, len(WORDS)])


@pytest.mark.parametrize("content", [b"", b"!!!! 0\n", b"c291cA== 7\n"])
def test_a_file_that_is_no_table_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cl100k_base.tiktoken").write_bytes(content)
    with pytest.raises(NotReady, match="no table of tokens"):
        OpenAiTokens(tmp_path).decode([0])


def test_without_a_table_it_says_how_to_send_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moe.embed.openai_tokens.find_spec", lambda name: None)
    with pytest.raises(BadRequest, match="check_embedding_ctx_length=False"):
        OpenAiTokens(tmp_path).decode([0])


@pytest.mark.skipif(find_spec("litellm") is None, reason="LiteLLM brings the table")
def test_litellms_table_is_the_one_that_openai_publishes(tmp_path: Path) -> None:
    assert OpenAiTokens(tmp_path).decode([15339, 1917, 220, 100255]).startswith("hello world ")
