"""Compressed bodies: what was packed comes out, and nothing else comes through."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from moe.errors import BadRequest, RequestError, TooLarge, UnknownEncoding
from moe.web.unpacking import MOST_FRAMES, unpack

LIMIT = 1 << 20


def deflate_raw(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def zstd_stream(data: bytes) -> bytes:
    """As a program writes it that does not know the size when it begins."""
    packer = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return packer.compress(data) + packer.flush()


PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "zstd": ("zstd", zstandard.compress), "zstd stream": ("zstd", zstd_stream), "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip", gzip.compress), "deflate": ("deflate", zlib.compress), "raw deflate": ("deflate", deflate_raw),
}
each_packer = pytest.mark.parametrize(("encoding", "pack"), PACKERS.values(), ids=list(PACKERS))


@each_packer
@given(data=st.binary())
def test_what_was_packed_comes_out(encoding: str, pack: Callable[[bytes], bytes], data: bytes) -> None:
    assert unpack(pack(data), encoding, limit_bytes=LIMIT) == data


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_what_is_not_packed_stays_as_it_is(encoding: str) -> None:
    assert unpack(b"\x28\xb5\x2f\xfd", encoding, limit_bytes=LIMIT) == b"\x28\xb5\x2f\xfd"


@each_packer
def test_the_limit_is_exact(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    assert len(unpack(pack(bytes(LIMIT)), encoding, limit_bytes=LIMIT)) == LIMIT
    with pytest.raises(TooLarge):
        unpack(pack(bytes(LIMIT + 1)), encoding, limit_bytes=LIMIT)


@pytest.mark.parametrize("encoding", ["zstd", "gzip"])
def test_the_limit_is_of_all_frames_together(encoding: str) -> None:
    pack = zstandard.compress if encoding == "zstd" else gzip.compress
    assert unpack(pack(b"a") + pack(b"b"), encoding, limit_bytes=LIMIT) == b"ab"
    with pytest.raises(TooLarge):
        unpack(pack(bytes(LIMIT // 2 + 1)) * 2, encoding, limit_bytes=LIMIT)
    with pytest.raises(BadRequest):
        unpack(pack(b"") * (MOST_FRAMES + 1), encoding, limit_bytes=LIMIT)


@each_packer
def test_what_is_cut_or_followed_by_something_is_refused(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(b"hello, hello, hello" * 50)
    for broken in (packed[:-1], packed[:-5], packed[: len(packed) // 2], b"", packed + b"more", b"plain text"):
        with pytest.raises(BadRequest, match="Content-Encoding"):
            unpack(broken, encoding, limit_bytes=LIMIT)


def test_a_window_of_gigabytes_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(b"x" * 100) + packer.flush()
    with pytest.raises(BadRequest):
        unpack(packed, "zstd", limit_bytes=LIMIT)


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "gzip, zstd", "compress", "x" * 3000, "none"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(UnknownEncoding, match="Content-Encoding") as caught:
        unpack(b"x", encoding, limit_bytes=LIMIT)
    assert (caught.value.status, len(caught.value.message) < 200) == (415, True)


@given(st.binary(), st.sampled_from(["zstd", "gzip", "deflate"]))
def test_any_bytes_are_unpacked_or_refused(data: bytes, encoding: str) -> None:
    try:
        assert len(unpack(data, encoding, limit_bytes=LIMIT)) <= LIMIT
    except RequestError as error:
        assert error.status in (400, 413)
