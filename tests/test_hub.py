"""What a checksum is checked against; fetching itself is seen in test_weights.py, over real sockets."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from moe import hub


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "greeting").write_bytes(b"hello\n")
    return tmp_path / "greeting"


@pytest.mark.parametrize(
    "checksum",
    [
        "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",  # sha256sum
        "ce013625030ba8dba906f756967f9e9ca394464a",  # git hash-object
    ],
)
def test_a_file_passes_by_its_sha256_and_by_its_git_blob_id(file: Path, checksum: str) -> None:
    hub.verify(file, checksum)
    file.write_bytes(b"hallo\n")
    with pytest.raises(ValueError, match=f"greeting is refused: .* expected was {checksum}"):
        hub.verify(file, checksum)


def test_a_file_nobody_vouches_for_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match="refused"):
        hub.verify(file, None)


def test_a_large_file_is_read_in_pieces(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as hole:
        hole.truncate(64 << 20)
    tracemalloc.start()
    try:
        found = hub.digest(large), hub.git_blob_id(large)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == (
        "3b6a07d0d404fab4e23b6d34bc6696a6a312dd92821332385e5af7c01c421351",  # sha256sum
        "51c513d36451ab389b5b3e9bca9b478b84a2e2ce",  # git hash-object
    )
    assert peak_bytes < 8 << 20


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "1 MB"), (613_248, "1 MB"), (386_404_992, "386 MB"), (1_117_320_736, "1.1 GB")]
)
def test_sizes_are_spelled_as_hubs_spell_them(size_bytes: int, text: str) -> None:
    assert hub.spell_size(size_bytes) == text
