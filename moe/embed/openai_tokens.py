"""The tokens of OpenAI's embedding models back to text, for clients that send nothing else."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ..errors import BadRequest, NotReady

FILE = "cl100k_base.tiktoken"
# LiteLLM brings the same table, under the name that tiktoken's cache gives it.
_IN_LITELLM = Path("litellm_core_utils", "tokenizers", "9b5ad71b2ce5302211f9c61530b329a4922fc6a4")


class OpenAiTokens:
    """The table is looked for in `folder`, then in LiteLLM's package, and read when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._table: list[bytes] = []

    def decode(self, tokens: Sequence[int]) -> str:
        """Raises BadRequest for what is no token, and where there is no table."""
        table = self._read()
        try:
            return b"".join([table[token] for token in tokens]).decode("utf-8", "replace")
        except IndexError as error:
            raise BadRequest("input: a token is none of cl100k_base, which OpenAI's embedding models read",
                             param="input") from error

    def _read(self) -> list[bytes]:
        with self._lock:
            if not self._table:
                file = self._find()
                try:
                    self._table = _parse(file.read_bytes())
                except (OSError, ValueError, binascii.Error) as error:
                    raise NotReady(f"{file} is no table of tokens: {error}", reason="broken token table") from error
            return self._table

    def _find(self) -> Path:
        own = self._folder / FILE
        if own.is_file():
            return own
        package = find_spec("litellm")
        for place in package.submodule_search_locations or () if package is not None else ():
            if (Path(place) / _IN_LITELLM).is_file():
                return Path(place) / _IN_LITELLM
        raise BadRequest(
            f"input: tokens can only be read with ./setup.sh --with api, or with {FILE} in models/. Send text: in "
            "langchain-openai, check_embedding_ctx_length=False", param="input")


def _parse(data: bytes) -> list[bytes]:
    """A line for each token: its bytes as base64 and its number, which is also the line's."""
    table = [base64.b64decode(line.partition(b" ")[0], validate=True) for line in data.splitlines() if line]
    if not table or not data.rstrip().endswith(b" %d" % (len(table) - 1)):
        raise ValueError("its lines are not numbered")
    return table
