"""What comes along with a conversation, taken in before anybody is asked: files become text, links become images."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec import structs

from ..config import Config
from ..core import ChatRequest, Document, Extract, Image, ImageLink, Message, Part, ToolResult
from ..dialects.image import tell_type
from ..errors import BadRequest
from ..knowledge.documents.reader import Reader, name_of
from .links import Links

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
        messages = tuple(self._take_in(message, f"messages[{place}]", watch)
                         for place, message in enumerate(request.messages))
        size = sum(len(part.text) for message in messages for part in message.parts if isinstance(part, Extract))
        if size > self._max_chars + MARK_CHARS * len(parts):
            raise BadRequest(f"all files together hold more text than documents.max_chars ({self._max_chars}) allows")
        return structs.replace(request, messages=messages)

    def _take_in(self, message: Message, where: str, watch: Callable[[], None]) -> Message:
        if not any(isinstance(part, _ATTACHED) for part in message.parts):
            return message
        try:
            parts = tuple(self._convert(part, where, watch) for part in message.parts)
        except BadRequest as error:
            error.param = error.param or where
            raise
        return structs.replace(message, parts=_join_results(parts))

    def _convert(self, part: Part, where: str, watch: Callable[[], None]) -> Part:
        if isinstance(part, Document):
            kind = _tell_image(part)
            if kind:
                image = Image("".join(part.data.split()), kind)
                self._check_images((image,))
                return image
            return _wrap(name_of(part), self._reader.read(part, watch=watch))
        if isinstance(part, ImageLink):
            if not self._server.fetch_images:
                raise BadRequest(f"{where}: images by URL are not fetched here: send them as base64 data: URIs, or set "
                                 "server.fetch_images to true")
            return self._links.fetch(part, watch=watch)
        return part

    def _check_images(self, images: tuple[Image, ...]) -> None:
        limit = self._server.max_image_bytes
        if any(len(image.data) * 3 // 4 > limit + 2 for image in images):
            raise BadRequest(f"an image is larger than server.max_image_bytes ({limit}) allows")


def _tell_image(document: Document) -> str:
    """The type of an image that was sent as a file, "" for any other file."""
    try:
        return tell_type(document.data.lstrip()[:24])
    except ValueError:  # no base64, which its reader says better
        return ""


def _check_count(parts: list[Any]) -> None:
    for kind, most, called in ((Document, MOST_FILES, "files"), (ImageLink, MOST_LINKS, "links to images")):
        if sum(isinstance(part, kind) for part in parts) > most:
            raise BadRequest(f"more than {most} {called} in one request")


def _wrap(name: str, text: str) -> Extract:
    """Between marks that nothing in the text can be taken for."""
    return Extract(f'<document name="{name}">\n{_END.sub("&lt;", text)}\n</document>')


def _join_results(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """What a tool gave back as a file belongs to its result: few models look anywhere else."""
    results = [part for part in parts if isinstance(part, ToolResult)]
    if not results:
        return parts
    texts = [part.text for part in parts if isinstance(part, Extract)]
    whole = structs.replace(results[-1], content="\n".join(filter(None, (results[-1].content, *texts))))
    return tuple(whole if part is results[-1] else part for part in parts if not isinstance(part, Extract))
