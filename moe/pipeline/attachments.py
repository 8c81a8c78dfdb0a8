"""What comes along with a conversation, taken in before anybody is asked: files become text, links become images."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec import structs

from ..config import Config
from ..core import ChatRequest, Document, Extract, Image, ImageLink, Message, Part, Text, ToolResult
from ..dialects.anthropic_blocks import tell_image
from ..errors import BadRequest
from ..knowledge.documents.reader import Reader, name_of
from ..log import clean
from .links import LONGEST_SHOWN, Links

MOST_FILES = 32
MOST_LINKS = 16
MARK_CHARS = 300
_ATTACHED = (Document, ImageLink)
_END = re.compile(r"<(?=/document\b)", re.IGNORECASE)


def unwatched() -> None:
    """Nobody can leave."""


class Attachments:
    """Takes in what the config allows. Thread-safe."""

    def __init__(self, config: Config) -> None:
        self._server = config.server
        self._max_chars = config.documents.max_chars
        self._reader = Reader(config.documents)
        self._links = Links(max_bytes=config.server.max_image_bytes)

    def take_in(self, request: ChatRequest, *, watch: Callable[[], None] = unwatched) -> ChatRequest:
        """`request` with nothing in it but text and images; `watch` is called during every wait, and what it raises
        ends it. Raises RequestError."""
        parts = [part for message in request.messages for part in message.parts]
        images = [part for part in parts if isinstance(part, Image)]
        self._check_images((*images, *(request.completion.images if request.completion else ())))
        if not any(isinstance(part, _ATTACHED) for part in parts):
            return request
        _check_count(parts)
        messages = tuple(self._take_in(message, f"messages[{place}]", request.client, watch)
                         for place, message in enumerate(request.messages))
        size = sum(len(part.text) for message in messages for part in message.parts if isinstance(part, Extract))
        if size > self._max_chars + MARK_CHARS * len(parts):
            raise BadRequest(f"all files together hold more text than documents.max_chars ({self._max_chars}) allows")
        return structs.replace(request, messages=tuple(map(_join_result, messages)))

    def _take_in(self, message: Message, where: str, client: str, watch: Callable[[], None]) -> Message:
        if not any(isinstance(part, _ATTACHED) for part in message.parts):
            return message
        parts = []
        for part in message.parts:
            try:
                parts.append(self._convert(part, client, watch))
            except BadRequest as error:
                error.param = error.param or _place_of(part) or where
                raise
        return structs.replace(message, parts=tuple(parts))

    def _convert(self, part: Part, client: str, watch: Callable[[], None]) -> Part:
        if isinstance(part, Document):
            kind = tell_image(part.data)
            if kind:
                image = Image("".join(part.data.split()), kind)
                self._check_images((image,))
                return image
            called = name_of(part) if part.name else _place_of(part)
            return _wrap(name_of(part), self._reader.read(part, watch=watch, client=client, called=called))
        if isinstance(part, ImageLink):
            if not self._server.fetch_images:
                shown = clean(part.url[:LONGEST_SHOWN])
                raise BadRequest(f"the image at {shown} is not fetched, as none by URL are here: send it as a base64 "
                                 "data: URI, or set server.fetch_images to true")
            return self._links.fetch(part, watch=watch)
        return part

    def _check_images(self, images: tuple[Image, ...]) -> None:
        limit = self._server.max_image_bytes
        if any(len(image.data) * 3 // 4 > limit + 2 for image in images):
            raise BadRequest(f"an image is larger than server.max_image_bytes ({limit}) allows")


def _place_of(part: Part) -> str:
    """Where its client put it, as far as that is known."""
    return part.place if isinstance(part, Document) else ""


def _check_count(parts: list[Any]) -> None:
    for kind, most, called in ((Document, MOST_FILES, "files"), (ImageLink, MOST_LINKS, "links to images")):
        if sum(isinstance(part, kind) for part in parts) > most:
            raise BadRequest(f"more than {most} {called} in one request")


def _wrap(name: str, text: str) -> Extract:
    """Between marks that nothing in the text can be taken for."""
    return Extract(f'<document name="{name}">\n{_END.sub("&lt;", text)}\n</document>')


def _join_result(message: Message) -> Message:
    """What a tool gave back is one text, its files in their places: few models look anywhere else."""
    result = next((part for part in message.parts if isinstance(part, ToolResult)), None)
    if result is None or message.role != "tool":
        return message
    texts = [part.content if isinstance(part, ToolResult) else part.text for part in message.parts
             if part is result or isinstance(part, Text)]
    whole = structs.replace(result, content="\n".join(filter(None, texts)))
    return structs.replace(message, parts=tuple(whole if part is result else part for part in message.parts
                                                if not isinstance(part, Text)))
