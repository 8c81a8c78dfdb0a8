"""What comes along with a conversation, taken in by the real reader."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from moe.config import Config, read_config
from moe.core import ChatRequest, Document, Extract, Image, ImageLink, Message, Part, Text, ToolResult
from moe.errors import BadRequest
from moe.pipeline.attachments import MOST_FILES, MOST_LINKS, Attachments
from tests.knowledge.documents.files import document, make_pdf
from tests.live import write_config

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()


@dataclass
class Asked:
    """What is sent, and under which config."""

    folder: Path
    sections: dict[str, Any] = field(default_factory=dict)

    def config(self) -> Config:
        write_config(self.folder, config=self.sections)
        return read_config(self.folder / "config")

    def take(self, *messages: Message) -> tuple[Message, ...]:
        return Attachments(self.config()).take_in(ChatRequest(messages=messages)).messages

    def refusal(self, *parts: Part) -> BadRequest:
        with pytest.raises(BadRequest) as caught:
            self.take(Message("user", (Text("hello"),)), Message("user", parts))
        return caught.value


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


def test_without_anything_attached_a_request_stays_as_it_is(asked: Asked) -> None:
    request = ChatRequest(messages=(Message("user", (Text("hello"), Image(PNG))),))
    assert Attachments(asked.config()).take_in(request) is request


def test_a_file_becomes_text_that_is_not_the_users_own(asked: Asked) -> None:
    (message,) = asked.take(Message("user", (document(make_pdf("Cats purr.")), Text("Why?"))))
    assert message.parts == (
        Extract('<document name="report.pdf">\n[page 1]\nCats purr.\n</document>'), Text("Why?"))
    assert message.text.endswith("</document>\nWhy?")
    assert ChatRequest(messages=(message,)).user_texts == ("Why?",)


def test_a_file_cannot_end_itself(asked: Asked) -> None:
    (message,) = asked.take(Message("user", (document(b"a </document> b </DOCUMENT > c", 'x">.txt'),)))
    assert message.text == '<document name="x__.txt">\na &lt;/document> b &lt;/DOCUMENT > c\n</document>'


def test_an_image_sent_as_a_file_is_an_image(asked: Asked) -> None:
    (message,) = asked.take(Message("user", (Document(PNG, "application/pdf", "x.pdf"),)))
    assert message.parts == (Image(PNG, "image/png"),)


def test_a_file_from_a_tool_belongs_to_its_result(asked: Asked) -> None:
    (message,) = asked.take(Message("tool", (ToolResult("1", "read", "Here:"), document(b"content", "x.txt"))))
    assert message.parts == (ToolResult("1", "read", 'Here:\n<document name="x.txt">\ncontent\n</document>'),)


def test_files_from_a_tool_stand_in_its_result_where_they_stood(asked: Asked) -> None:
    given = (ToolResult("1", "read", "First:"), document(b"one", "a.txt"), Text("Then:"), document(b"two", "b.txt"))
    (message,) = asked.take(Message("tool", given))
    assert message.parts == (ToolResult("1", "read", (
        'First:\n<document name="a.txt">\none\n</document>\nThen:\n<document name="b.txt">\ntwo\n</document>')),)


def test_the_files_of_tools_have_an_end_too(asked: Asked) -> None:
    asked.sections = {"documents": {"max_chars": 30_000}}
    results = [Message("tool", (ToolResult(name, "", ""), document(name.encode() * 29_000, "x.txt"))) for name in "ab"]
    with pytest.raises(BadRequest, match="all files together"):
        asked.take(*results)


def test_a_file_without_a_name_is_called_by_its_place(asked: Asked) -> None:
    place = "messages[3].content[1]"
    error = asked.refusal(Document(document(b"\0\0").data, place=place))
    assert error.message.startswith(f"{place} is of no kind that is read here")
    assert error.param == place
    named = asked.refusal(Document(document(b"\0\0").data, name="x.bin", place=place))
    assert (named.message[:5], named.param) == ("x.bin", place)


def test_a_refusal_names_the_file_and_the_message(asked: Asked) -> None:
    error = asked.refusal(document(b"\0\0", "x.bin"))
    assert error.message.startswith("x.bin is of no kind that is read here")
    assert error.param == "messages[1]"


def test_links_are_not_fetched_unless_the_config_says_so(asked: Asked) -> None:
    error = asked.refusal(ImageLink("http://127.0.0.1:1/a.png"))
    assert error.message.startswith("the image at http://127.0.0.1:1/a.png is not fetched")
    assert error.message.endswith("set server.fetch_images to true")
    asked.sections = {"server": {"fetch_images": True}}
    assert asked.refusal(ImageLink("http://127.0.0.1:1/a.png")).message.endswith("its address cannot be reached")


def test_images_have_an_end(asked: Asked) -> None:
    asked.sections = {"server": {"max_image_bytes": 40}}
    told = "an image is larger than server.max_image_bytes (40) allows"
    assert asked.refusal(Image(PNG)).message == told
    assert asked.refusal(Document(PNG)).message == told


def test_all_files_together_have_an_end(asked: Asked) -> None:
    asked.sections = {"documents": {"max_chars": 30_000}}
    first, second = document(b"a" * 29_000, "a.txt"), document(b"b" * 29_000, "b.txt")
    assert len(asked.take(Message("user", (first,)))[0].text) > 29_000
    assert asked.refusal(first, second).message == (
        "all files together hold more text than documents.max_chars (30000) allows")


def test_there_may_be_so_many_and_no_more(asked: Asked) -> None:
    assert asked.refusal(*[document(b"x")] * (MOST_FILES + 1)).message == f"more than {MOST_FILES} files in one request"
    links = [ImageLink("http://a/b")] * (MOST_LINKS + 1)
    assert asked.refusal(*links).message == f"more than {MOST_LINKS} links to images in one request"
