"""Files of a model hub's repository: a cut download is resumed, a file with another checksum refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from .errors import MoeError

CONNECT_TIMEOUT_S = 5.0


class HubError(MoeError):
    """The hub could not be reached, or gave something else than it promised."""

    code = "hub_error"


@dataclass(frozen=True)
class Repository:
    """One revision of a repository; `folder` keeps the files that arrived whole."""

    name: str
    revision: str
    folder: Path

    def fetch(self, file: str, *, sha256: str | None = None) -> Path:
        """`file` on disk, checked against `sha256` or, without one, against the hub's own metadata.

        Which hub is the library's matter (HF_ENDPOINT). Raises HubError.
        """
        from httpx import HTTPError  # noqa: PLC0415
        from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url  # noqa: PLC0415
        from huggingface_hub.errors import XetDownloadError  # noqa: PLC0415

        try:
            url = hf_hub_url(self.name, file, revision=self.revision)
            promised = get_hf_file_metadata(url, timeout=CONNECT_TIMEOUT_S).etag
            path = Path(hf_hub_download(self.name, file, revision=self.revision, local_dir=self.folder))
        except (HTTPError, OSError, RuntimeError, XetDownloadError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise HubError(f"{constants.ENDPOINT} gave no {file}: {reason}") from error
        try:
            verify(path, sha256 or promised)
        except ValueError as error:
            path.unlink()
            raise HubError(f"{constants.ENDPOINT}: {error}") from error
        return path


def verify(path: Path, checksum: str | None) -> None:
    """Raises ValueError unless the file has this sha256 or, as hubs name small files, this git blob id."""
    actual = git_blob_id(path) if checksum and len(checksum) == 40 else digest(path)
    if actual != checksum:
        raise ValueError(f"{path.name} is refused: its checksum is {actual}, expected was {checksum}")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def git_blob_id(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
