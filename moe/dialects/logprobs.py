"""Log probabilities of tokens on the wire: OpenAI's two forms and Ollama's."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any

from ..core import TokenLogprob


def write_entries(tokens: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """A list of entries, the form that OpenAI's chat and Ollama share."""
    return [{**_entry(token), "top_logprobs": [_entry(each) for each in token.top]} for token in tokens]


def write_columns(tokens: Sequence[TokenLogprob], offset: int) -> dict[str, Any]:
    """The form of OpenAI's completions; `offset`: where in the text the first token begins."""
    offsets = [offset]
    decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a character may be spread over several tokens
    for token in tokens:
        offsets.append(offsets[-1] + len(decoder.decode(_bytes(token))))
    return {
        "tokens": [_show(token) for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{_show(each): each.logprob for each in token.top} or None for token in tokens],
        "text_offset": offsets[:-1],
    }


def _entry(token: TokenLogprob) -> dict[str, Any]:
    return {"token": _show(token), "logprob": token.logprob, "bytes": list(_bytes(token))}


def _show(token: TokenLogprob) -> str:
    return _bytes(token).decode("utf-8", "replace")


def _bytes(token: TokenLogprob) -> bytes:
    return token.token.encode("utf-8", "surrogateescape")
