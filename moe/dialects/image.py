"""Images in requests: data URIs and bare base64, known by how they begin, but not decoded."""

from __future__ import annotations

import binascii

from msgspec import structs

from ..core import Image, ImageLink
from ..errors import BadRequest

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
LONGEST_LINK = 8192
_SIGNATURES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))
_START = 24
_DETAILS = ("low", "high", "auto")
# The lengths that the second header of a BMP may have: two letters would make an image of many a text.
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def read_url(url: str, where: str, *, detail: object = None) -> Image | ImageLink:
    """An image from a `data:` URI, or where one lies; `detail` as OpenAI's clients say it. Raises BadRequest that names
    `where`."""
    scheme = url[:8].lower()
    if scheme.startswith(("http://", "https://")):
        if len(url) > LONGEST_LINK:
            raise BadRequest(f"{where}: the URL is longer than {LONGEST_LINK} characters", param=where)
        return ImageLink(url)
    if not scheme.startswith("data:"):
        raise BadRequest(f"{where}: images must be data: URIs, or URLs with http or https", param=where)
    image = read_data_uri(url, where)
    return structs.replace(image, detail=str(detail)) if detail in _DETAILS else image


def read_data_uri(url: str, where: str) -> Image:
    """An image from a `data:` URI; of its own type, whatever is declared. Raises BadRequest that names `where`."""
    head, comma, data = url.partition(",")
    media_type, *parameters = head[len("data:"):].lower().split(";")
    if not comma or "base64" not in parameters:
        raise BadRequest(f"{where}: the data: URI must be base64", param=where)
    if media_type and not media_type.startswith("image/"):
        raise BadRequest(f"{where}: '{media_type[:80]}' is not an image type", param=where)
    return _check(data, where)


def read_base64(data: str, where: str) -> Image:
    """An image from bare base64, its type by its first bytes; a data: URI is taken too."""
    if data[:5].lower() == "data:":
        return read_data_uri(data, where)
    return _check(data, where)


def _check(data: str, where: str) -> Image:
    if "\n" in data or "\r" in data:  # wrapped lines, which Ollama's decoder skips
        data = data.replace("\r", "").replace("\n", "")
    bare = data.rstrip("=")
    is_base64 = bare.isascii() and not bare.encode().translate(None, _BASE64)
    if not bare or not is_base64 or len(data) % 4 or len(data) - len(bare) > 2:
        raise BadRequest(f"{where}: invalid base64 image data", param=where)
    media_type = tell_type(data)
    if not media_type:
        raise BadRequest(f"{where}: invalid image: expected a PNG, JPEG, WebP, GIF or BMP", param=where)
    return Image(data, media_type)


def tell_type(data: str) -> str:
    """The type of an image in base64 by its first bytes, "" when they are none of an image that models read."""
    start = binascii.a2b_base64(data[:_START])
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "image/webp"
    if start.startswith(b"BM") and start[6:10] == bytes(4) and int.from_bytes(start[14:18], "little") in _BMP_HEADERS:
        return "image/bmp"
    return next((kind for signature, kind in _SIGNATURES if start.startswith(signature)), "")
