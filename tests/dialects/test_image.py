"""Images in requests."""

from __future__ import annotations

import base64

import pytest

from moe.core import Image, ImageLink
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


def test_a_data_uri_is_of_its_own_type_and_only_what_is_unknown_of_the_declared_one() -> None:
    assert read_url(f"data:image/webp;base64,{PNG}", "x") == Image(PNG, "image/png")
    assert read_url("data:image/bmp;base64,Qk1C", "x") == Image("Qk1C", "image/bmp")
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
