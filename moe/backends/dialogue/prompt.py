"""A request -> the tokens a model reads: its chat template, a raw prompt, or a gap to fill in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from ...core import ChatRequest, Completion, Message, Text
from ...errors import UpstreamRefusal
from ..wishes import must_call, offer_tools
from .fence import Fence
from .template import Template

_OPENED = ("<think>", "[THINK]")
_CHATML_MARKS = ("<|im_end|>", "<|im_start|>")
_FIELD = re.compile(r"\{\{-?\s*\.(Prompt|System|Suffix|Response)\s*-?\}\}")


class Vocabulary(Protocol):
    """`longest_run`: of letters without a space between them that can be cut into tokens at once; 0 = any."""

    token_count: int
    longest_run: int

    @property
    def first_token(self) -> int: ...
    @property
    def fill_tokens(self) -> tuple[int, int, int]: ...
    def tokenize(self, text: str, *, special: bool = True) -> list[int]: ...


class Prompt(Struct, frozen=True, kw_only=True):
    """`is_chat`: the answer is a turn of a conversation, with thinking and calls in it, and not bare text."""

    tokens: tuple[int, ...]
    is_chat: bool = True
    is_thinking: bool = False
    stops: tuple[str, ...] = ()


class Writer:
    """Writes prompts for one model. Thread-safe."""

    def __init__(self, vocabulary: Vocabulary, template: Template, fence: Fence, *, binds_calls: bool = False) -> None:
        """`binds_calls`: where a call has to be made, the engine lets nothing else be written."""
        self._binds_calls = binds_calls
        self._vocabulary = vocabulary
        self._template = template
        self._fence = fence

    def write(self, request: ChatRequest) -> Prompt:
        """Raises UpstreamRefusal for what the model cannot be asked, NotReady for a template that does not work."""
        if request.completion is None:
            return self._write_chat(request, request.messages)
        return self._write_completion(request, request.completion)

    def _write_chat(self, request: ChatRequest, messages: Iterable[Message]) -> Prompt:
        guarded = self._fence.guard()
        is_bound = request.format is not None or (self._binds_calls and must_call(request))
        think = False if is_bound and request.think is None else request.think
        text = self._template.render(list(messages), tools=offer_tools(request), think=think, guard=guarded.hide)
        is_thinking = text.rstrip().endswith(_OPENED)
        if is_thinking and is_bound:  # the form binds from the first letter on
            text, is_thinking = f"{text.rstrip()}\n\n</think>\n\n", False
        tokens = [token for piece, is_special in guarded.split(text) for token in self._tokenize(piece, is_special)]
        stops = () if self._template.is_own else _CHATML_MARKS
        return Prompt(tokens=self._open(tokens), is_thinking=is_thinking, stops=stops)

    def _write_completion(self, request: ChatRequest, completion: Completion) -> Prompt:
        if completion.suffix and not completion.template:
            return Prompt(tokens=self._open(self._write_gap(completion)), is_chat=False)
        if completion.raw:
            return Prompt(tokens=self._open(self._tokenize(completion.prompt, True)), is_chat=False)
        if completion.template:
            return Prompt(tokens=self._open(self._tokenize(_fill(completion), True)), is_chat=False)
        system = (Message("system", (Text(completion.system),)),) if completion.system else ()
        asked = self._write_chat(request, (*system, Message("user", (Text(completion.prompt),))))
        if not all(0 <= token < self._vocabulary.token_count for token in completion.context):
            raise UpstreamRefusal("the context holds tokens that this model does not have")
        return Prompt(tokens=(*completion.context, *asked.tokens), is_thinking=asked.is_thinking, stops=asked.stops)

    def _write_gap(self, completion: Completion) -> list[int]:
        before, after, middle = self._vocabulary.fill_tokens
        if min(before, after, middle) < 0:
            raise UpstreamRefusal("this model does not support insert")
        prefix, suffix = (self._tokenize(text, False) for text in (completion.prompt, completion.suffix))
        return [before, *prefix, after, *suffix, middle]

    def _tokenize(self, text: str, is_special: bool) -> list[int]:
        pieces = self._fence.cut(text, self._vocabulary.longest_run or len(text))
        return [token for piece in pieces if piece for token in self._vocabulary.tokenize(piece, special=is_special)]

    def _open(self, tokens: list[int]) -> tuple[int, ...]:
        """With the token that opens every prompt, once, whether or not the template wrote it."""
        first = self._vocabulary.first_token
        return tuple(tokens if first < 0 or tokens[:1] == [first] else [first, *tokens])


def _fill(completion: Completion) -> str:
    """Ollama's own kind of template, as far as it only names its fields."""
    fields = {"Prompt": completion.prompt, "System": completion.system or "", "Suffix": completion.suffix}
    text = _FIELD.sub(lambda found: fields.get(found[1], ""), completion.template)
    if "{{" in _FIELD.sub("", completion.template):
        raise UpstreamRefusal("templates with conditions or loops are not supported here", code="bad_request")
    return text
