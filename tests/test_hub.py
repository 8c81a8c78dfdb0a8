"""What a checksum is checked against; fetching itself is seen in test_encoders.py, over a real socket."""

from __future__ import annotations

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
