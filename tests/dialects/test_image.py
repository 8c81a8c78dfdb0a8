"""Images in requests."""

from __future__ import annotations

import base64

import pytest

from moe.core import Image
from moe.dialects.image import read_base64, read_url
from moe.errors import BadRequest

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()


@pytest.mark.parametrize(
    ("start", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", "image/png"),
        (b"?", "image/png"),
    ],
)
def test_the_type_is_known_by_the_first_bytes(start: bytes, media_type: str) -> None:
    data = base64.b64encode(start).decode()
    assert read_base64(data, "images[0]") == Image(data, media_type)


def test_a_data_uri_says_its_type() -> None:
    assert read_url(f"data:image/webp;base64,{PNG}", "x") == Image(PNG, "image/webp")
    assert read_url(f"DATA:Image/PNG;charset=utf-8;BASE64,{PNG}", "x") == Image(PNG, "image/png")
    assert read_url(f"data:;base64,{PNG}", "x") == Image(PNG, "image/png")
    assert read_base64(f"data:image/jpeg;base64,{PNG}", "x") == Image(PNG, "image/jpeg")


def test_wrapped_lines_are_joined() -> None:
    assert read_base64(f"{PNG[:8]}\r\n{PNG[8:]}\n", "x").data == PNG


@pytest.mark.parametrize("url", ["http://a/b.png", "https://a/b.png", "file:///etc/passwd", "", "//a", "ftp://a"])
def test_nothing_is_fetched(url: str) -> None:
    with pytest.raises(BadRequest, match="must be base64 data: URIs, since nothing is fetched") as caught:
        read_url(url, "messages[0].content[1].image_url")
    assert caught.value.param == "messages[0].content[1].image_url"


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
