"""Images in requests."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from moe.core import Image, ImageLink
from moe.dialects import anthropic, openai, responses
from moe.dialects.image import read_base64, read_url
from moe.errors import BadRequest

BMP = b"BM" + (70).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()


@pytest.mark.parametrize(
    ("start", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
        (BMP, "image/bmp"),
    ],
)
def test_the_type_is_known_by_the_first_bytes(start: bytes, media_type: str) -> None:
    data = base64.b64encode(start).decode()
    assert read_base64(data, "images[0]") == Image(data, media_type)


@pytest.mark.parametrize("start", [
    b"RIFF\x10\x00\x00\x00WAVEfmt ", b"?", b"BMW is a maker of cars, ", b"PNG\r\n", SVG, b"%PDF-1.7", b"hello there",
])
def test_what_begins_like_no_image_is_refused_whatever_it_is_called(start: bytes) -> None:
    data = base64.b64encode(start).decode()
    with pytest.raises(BadRequest, match="x: invalid image: expected a PNG, JPEG, WebP, GIF or BMP"):
        read_base64(data, "x")
    for kind in ("image/png", "image/svg+xml"):
        with pytest.raises(BadRequest, match="invalid image"):
            read_url(f"data:{kind};base64,{data}", "x")


@pytest.mark.parametrize(("parse", "write"), [
    (openai.CHAT.parse, lambda url: {"type": "image_url", "image_url": {"url": url}}),
    (responses.RESPONSES.parse, lambda url: {"type": "input_image", "image_url": url}),
    (anthropic.MESSAGES.parse, lambda url: {"type": "image", "source": {
        "type": "base64", "media_type": "image/png", "data": url.partition(",")[2]}}),
])
def test_no_dialect_takes_what_is_no_image(parse: Any, write: Any) -> None:
    for data, is_good in ((PNG, True), (base64.b64encode(SVG).decode(), False)):
        turn = [{"role": "user", "content": [write(f"data:image/png;base64,{data}")]}]
        body = json.dumps({"messages": turn, "input": turn, "max_tokens": 9}).encode()
        if is_good:
            assert parse(body).messages[0].parts == (Image(PNG),)
        else:
            with pytest.raises(BadRequest, match="invalid image"):
                parse(body)


def test_a_data_uri_is_of_its_own_type_whatever_is_declared() -> None:
    assert read_url(f"data:image/webp;base64,{PNG}", "x") == Image(PNG, "image/png")
    assert read_url(f"DATA:Image/PNG;charset=utf-8;BASE64,{PNG}", "x") == Image(PNG, "image/png")
    assert read_url(f"data:;base64,{PNG}", "x") == Image(PNG, "image/png")
    assert read_base64(f"data:image/jpeg;base64,{PNG}", "x") == Image(PNG, "image/png")


def test_wrapped_lines_are_joined() -> None:
    assert read_base64(f"{PNG[:8]}\r\n{PNG[8:]}\n", "x").data == PNG


@pytest.mark.parametrize("url", ["http://a/b.png", "HTTPS://a/b.png?c=d"])
def test_a_link_is_left_to_whoever_may_fetch(url: str) -> None:
    assert read_url(url, "x") == ImageLink(url)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "", "//a", "ftp://a", "http:/a", "javascript:x"])
def test_no_other_scheme_is_taken(url: str) -> None:
    with pytest.raises(BadRequest, match="images must be data: URIs, or URLs with http or https") as caught:
        read_url(url, "messages[0].content[1].image_url")
    assert caught.value.param == "messages[0].content[1].image_url"


def test_a_link_has_an_end() -> None:
    with pytest.raises(BadRequest, match="x: the URL is longer than 8192 characters"):
        read_url("https://a/" + "b" * 8192, "x")


@pytest.mark.parametrize(
    "url",
    ["data:", "data:image/png;base64", "data:image/png,abcd", "data:text/html;base64,abcd", "data:image/png;base64,"],
)
def test_other_data_uris_are_refused(url: str) -> None:
    with pytest.raises(BadRequest, match="x"):
        read_url(url, "x")


@pytest.mark.parametrize("data", ["", "=", "====", "abc", "abcde", "ab=c", "a===", "ab-_", "äbcd", "ab d", "\ufffdbcd"])
def test_what_is_no_base64_is_refused(data: str) -> None:
    with pytest.raises(BadRequest, match=r"images\[0\]: invalid base64"):
        read_base64(data, "images[0]")
