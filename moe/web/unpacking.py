"""Bodies that come compressed: unpacked as far as a body may go, and not a byte further."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Any

import zstandard

from ..errors import BadRequest, TooLarge, UnknownEncoding

# One after the other in one body; each costs a little even when it is empty.
MOST_FRAMES = 16
# What a frame may want remembered of what came before: RFC 8878 asks for 8 MiB at least, most use far less.
MOST_WINDOW_BYTES = 1 << 25
_GZIP, _ZLIB, _RAW = 31, 15, -15

_Unpacker = Callable[[bytes, int], bytes]


def unpack(body: bytes, encoding: str, *, limit_bytes: int) -> bytes:
    """The body as it was before it was compressed by `encoding`, the header's value.

    Raises TooLarge beyond the limit, BadRequest for what is not so compressed, UnknownEncoding.
    """
    names = [name for part in encoding.split(",", 2) if (name := part.strip().lower()) not in ("", "identity")]
    if not names:
        return body
    unpacker = _UNPACKERS.get(names[0])
    if unpacker is None or len(names) > 1:
        told = ", ".join(dict.fromkeys(_UNPACKERS))
        raise UnknownEncoding(f"Content-Encoding {encoding[:40]!r} is not supported: send the body plain, or as {told}")
    try:
        return unpacker(body, limit_bytes)
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise BadRequest(f"Content-Encoding: the body is no {names[0]}: {str(error)[:100]}") from error


def _unpack_gzip(body: bytes, limit_bytes: int) -> bytes:
    return _inflate(body, limit_bytes, _GZIP)


def _unpack_deflate(body: bytes, limit_bytes: int) -> bytes:
    """As RFC 9110 has it, with zlib's header; some send it without."""
    has_header = len(body) > 1 and body[0] & 15 == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0
    return _inflate(body, limit_bytes, _ZLIB if has_header else _RAW)


def _inflate(body: bytes, limit_bytes: int, window_bits: int) -> bytes:
    found: list[bytes] = []
    left = limit_bytes
    for _ in range(MOST_FRAMES):
        unpacker = zlib.decompressobj(window_bits)
        found.append(unpacker.decompress(body, left + 1))
        left -= len(found[-1])
        if left < 0:
            raise _too_large(limit_bytes)
        if not unpacker.eof:
            raise EOFError("it ends too early")
        body = unpacker.unused_data
        if not body:
            return b"".join(found)
        if window_bits != _GZIP:
            break
    raise EOFError("something follows its end")


def _unpack_zstd(body: bytes, limit_bytes: int) -> bytes:
    """The first pass only measures: a frame's unpacker cannot be told where to stop, and a reader not where it does."""
    unpacker = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW_BYTES)
    size = 0
    with unpacker.stream_reader(io.BytesIO(body), read_across_frames=True) as reader:
        while part := reader.read(1 << 16):
            size += len(part)
            if size > limit_bytes:
                raise _too_large(limit_bytes)
    found: list[bytes] = []
    for _ in range(MOST_FRAMES):
        frame: Any = unpacker.decompressobj()
        found.append(frame.decompress(body))
        if not frame.eof:
            raise EOFError("it ends too early")
        body = frame.unused_data
        if not body:
            return b"".join(found)
    raise EOFError("it has too many frames")


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit_bytes} bytes")


_UNPACKERS: dict[str, _Unpacker] = {
    "zstd": _unpack_zstd, "gzip": _unpack_gzip, "x-gzip": _unpack_gzip, "deflate": _unpack_deflate,
}
