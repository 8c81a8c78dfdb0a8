"""One ONNX model in memory: its tokenizer, its chat template and its graphs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ... import engines
from ...core import ChatRequest, Message, Text, ToolResult
from ...errors import NotReady, UpstreamRefusal
from ..dialogue.fence import Fence
from ..dialogue.prompt import Prompt, Writer
from ..dialogue.template import Template
from .files import Files
from .graphs import Decoder, Graph, Track
from .sheets import Sheets
from .turns import Turns
from .vocabulary import Vocabulary

MEMORY_SHARE = 1.3  # what sessions take, as a multiple of their files
CHATML_MARKS = ("<|im_start|>", "<|im_end|>")
MOST_CHARS_PER_TOKEN = 128  # a text longer than this is too long however it is cut into tokens


class OnnxModel:
    """Reading it is safe from every thread; a Track is advanced by whoever has the turn (`turns`)."""

    def __init__(self, files: Files, *, threads: int, context_limit: int | None = None) -> None:
        """Raises NotReady for files that cannot be used; two tokens are computed to find out."""
        sheets = Sheets(files.folder)
        names = sheets.token_names
        self.size_bytes = int(files.size_bytes * MEMORY_SHARE)
        self.context_length = min(sheets.context_length, context_limit or sheets.context_length)
        self.turns = Turns()
        self.translates = files.encoder is not None
        self.vocabulary = Vocabulary(files.folder / "tokenizer.json", bos=names["bos_token"])
        self.ends = sheets.ends(self.vocabulary.find)
        template = Template(sheets.template, bos=names["bos_token"], eos=names["eos_token"])
        has_chatml = all(self.vocabulary.find(mark) >= 0 for mark in CHATML_MARKS)
        self.is_dressed = (template.is_own or has_chatml) and not self.translates
        self.thinks = template.thinks
        self._writer = Writer(self.vocabulary, template, Fence(self.vocabulary.controls.values()))
        self._start_token = sheets.start_token
        encoder, decoder, later = (
            None if file is None else Graph(engines.open_session(file, threads=threads))
            for file in (files.encoder, files.decoder, files.later)
        )
        assert decoder is not None  # a model's files always name one
        self._encoder = encoder
        self._decoder: Decoder | None = Decoder(decoder, later)
        track, opening = self.start([self._start_token])
        track.advance(opening)
        track.advance([self._start_token])

    def write(self, request: ChatRequest) -> Prompt:
        """Raises UpstreamRefusal for a prompt that is too long, or that the model cannot be asked."""
        limit = self.context_length
        length = sum(len(part.text) for message in request.messages for part in message.parts if isinstance(part, Text))
        if length > limit * MOST_CHARS_PER_TOKEN:
            raise _too_long(f"{length} characters", limit)
        is_raw = request.completion is not None and (request.completion.raw or bool(request.completion.template))
        if self.is_dressed or (is_raw and not self.translates):
            prompt = self._writer.write(request)
        else:
            tokens = self.vocabulary.tokenize_whole(self._join(request))
            prompt = Prompt(tokens=tuple(tokens), is_chat=False)
        if len(prompt.tokens) >= limit:
            raise _too_long(f"{len(prompt.tokens)} tokens", limit)
        if not prompt.tokens:
            raise UpstreamRefusal("the prompt is empty")
        return prompt

    def start(self, ids: Sequence[int]) -> tuple[Track, Sequence[int]]:
        """A new answer to the prompt `ids`, and what the decoder has to be given first."""
        decoder = self._alive()
        if self._encoder is None:
            return Track(decoder, {}), ids
        row = np.array([ids], dtype=np.int64)
        mask = np.ones_like(row)
        feeds = {"input_ids": row, "attention_mask": mask, "token_type_ids": np.zeros_like(row)}
        seen = self._encoder.run(["last_hidden_state"], feeds)[0]
        return Track(decoder, {"encoder_hidden_states": seen, "encoder_attention_mask": mask}), [self._start_token]

    @property
    def reads_in_parts(self) -> bool:
        return self._alive().reads_in_parts

    def check(self) -> None:
        """Raises NotReady once the model was unloaded under an answer."""
        self._alive()

    def close(self) -> None:
        """The memory goes when the last answer under way has noticed."""
        self._decoder = self._encoder = None

    def _alive(self) -> Decoder:
        if self._decoder is None:
            raise NotReady("the model was unloaded", reason="shutting down")
        return self._decoder

    def _join(self, request: ChatRequest) -> str:
        """The texts alone. A model that turns one text into another gets its task, the system prompt, and the last."""
        asked, messages = request.completion, request.messages
        if asked is not None:
            return " ".join(filter(None, (None if asked.raw else asked.system, asked.prompt)))
        if not self.translates:
            return "\n\n".join(filter(None, map(_text_of, messages)))
        return " ".join(_text_of(each) for each in messages if each.role == "system" or each is messages[-1])


def _too_long(length: str, limit: int) -> UpstreamRefusal:
    return UpstreamRefusal(f"the prompt is {length} long and the context holds {limit} tokens: shorten it",
                           code="context_length_exceeded")


def _text_of(message: Message) -> str:
    return "\n".join(part.text if isinstance(part, Text) else part.content
                     for part in message.parts if isinstance(part, (Text, ToolResult)))
