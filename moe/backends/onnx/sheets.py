"""The JSON files that lie beside a model's weights: how its conversations are written, and where its answers end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...engines import EngineError

LIMIT_BYTES = 16 << 20
DEFAULT_CONTEXT = 2048
_LENGTHS = ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length", "seq_length")
# The ends of a turn in the common families of chat models, for folders that name only the end of a text.
_TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "</s>")
_NAMED = ("bos_token", "eos_token", "unk_token", "pad_token")


class Sheets:
    """config.json, generation_config.json, tokenizer_config.json; a file or an entry that is missing is as if empty.

    Raises EngineError for a file that is no JSON object.
    """

    def __init__(self, folder: Path) -> None:
        self._config = read_json(folder / "config.json")
        self._generation = read_json(folder / "generation_config.json")
        self._tokenizer = read_json(folder / "tokenizer_config.json")
        self._folder = folder

    @property
    def context_length(self) -> int:
        """In tokens."""
        found = (self._config.get(name) for name in _LENGTHS)
        return next((length for length in found if type(length) is int and length > 0), DEFAULT_CONTEXT)

    @property
    def family(self) -> str:
        found = self._config.get("model_type")
        return found if isinstance(found, str) else ""

    @property
    def start_token(self) -> int:
        """What an encoder-decoder's answer begins with."""
        names = ("decoder_start_token_id", "pad_token_id", "bos_token_id")
        found = (sheet.get(name) for name in names for sheet in (self._generation, self._config))
        return next((token for token in found if type(token) is int and token >= 0), 0)

    @property
    def template(self) -> str:
        """The chat template, "" where there is none."""
        found = self._tokenizer.get("chat_template") or read_json(self._folder / "chat_template.json").get(
            "chat_template")
        if isinstance(found, list):  # several, by name
            named = {str(each.get("name")): each.get("template") for each in found if isinstance(each, dict)}
            found = named.get("default")
        if isinstance(found, str) and found:
            return found
        file = self._folder / "chat_template.jinja"
        return _read_text(file) if file.is_file() else ""

    @property
    def token_names(self) -> dict[str, str]:
        """The special tokens that templates may name; "" for one that the model lacks."""
        return {name: _spell_token(self._tokenizer.get(name)) for name in _NAMED}

    def ends(self, find: Callable[[str], int]) -> frozenset[int]:
        """The tokens that end an answer; `find` gives a token's number by its text, -1 for none."""
        named = map(find, (self.token_names["eos_token"], *_TURN_ENDS))
        return frozenset({*self._listed_ends(), *(token for token in named if token >= 0)})

    def _listed_ends(self) -> Iterator[int]:
        for sheet in (self._generation, self._config):
            found = sheet.get("eos_token_id")
            for token in found if isinstance(found, list) else [found]:
                if type(token) is int:
                    yield token


def read_json(file: Path) -> dict[str, Any]:
    """The object in `file`, empty where there is no file. Raises EngineError."""
    if not file.is_file():
        return {}
    try:
        found = json.loads(_read_text(file))
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{file.name} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise EngineError(f"{file.name} holds no JSON object")
    return found


def _read_text(file: Path) -> str:
    try:
        if file.stat().st_size > LIMIT_BYTES:
            raise EngineError(f"{file.name} is larger than {LIMIT_BYTES >> 20} MB")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"{file.name} cannot be read: {error}") from error


def _spell_token(token: object) -> str:
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else ""
