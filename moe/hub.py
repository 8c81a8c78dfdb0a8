"""Files of a model hub's repository: a cut download is resumed, a file with another checksum refused.

Which hub, and with which token, is the library's matter: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from httpx import HTTPError, InvalidURL, TransportError
from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]
from huggingface_hub.utils.tqdm import tqdm

from .errors import MoeError

CONNECT_TIMEOUT_S = 5.0
CHUNK_BYTES = 1 << 20
PIECE_BYTES = 1 << 16  # so much at most is lost of a download that is cut
GIT_BLOB_ID_DIGITS = 40

constants.DOWNLOAD_CHUNK_SIZE = PIECE_BYTES  # the library has no other way to be told


class HubError(MoeError):
    """The hub gave something else than it promised, or nothing; or there is no room for it."""

    code = "hub_error"


class OutOfReach(HubError):
    """No hub answered, or it fell silent."""


class File(NamedTuple):
    """What the hub says of a file; `checksum` as for `verify`."""

    name: str
    size_bytes: int
    checksum: str | None


class Listing(NamedTuple):
    """A repository as it is now: its commit, its licence ("" when it names none), its files."""

    revision: str
    licence: str
    files: tuple[File, ...]


@dataclass(frozen=True)
class Repository:
    """One revision of a repository; `folder` keeps the files that arrived, and what there is of those that did not."""

    name: str
    revision: str
    folder: Path

    def fetch(self, file: str, *, sha256: str | None = None, told: Callable[[int], None] | None = None) -> Path:
        """`file` in the folder, checked against `sha256` or, without one, against the hub's own metadata; `told` how
        many bytes there are, whenever there are more, in place of a bar on the terminal.

        Raises HubError. A broken download goes on next time; one with a wrong checksum is thrown away.
        """
        path = self.folder / PurePosixPath(file).name
        with _faults_named(self.name, f"gave no {file}"):
            url = hf_hub_url(self.name, file, revision=self.revision)
            promised = get_hf_file_metadata(url, timeout=CONNECT_TIMEOUT_S)
            checksum = sha256 or promised.etag
            if not checksum:
                raise ValueError("it names no checksum")
            if path.is_file() and compute_checksum(path, like=checksum) == checksum:
                return path
            part = path.with_name(f"{path.name}.{checksum[:12]}.part")
            self.folder.mkdir(parents=True, exist_ok=True)
            _receive(url, part, size_bytes=promised.size, told=told)
        try:
            verify(part, checksum, name=path.name)
        except ValueError as error:
            part.unlink()
            raise HubError(f"{constants.ENDPOINT}: {error}") from error
        return part.replace(path)


def list_files(name: str) -> Listing:
    """The repository `name` ("owner/name") at its newest commit. Raises HubError."""
    with _faults_named(name, "did not list its files"):
        found = HfApi().model_info(name, files_metadata=True, timeout=CONNECT_TIMEOUT_S)
        files = [File(sibling.rfilename, sibling.size or 0, sibling.lfs.sha256 if sibling.lfs else sibling.blob_id)
                 for sibling in found.siblings or ()]  # fmt: skip
        licences = [tag.removeprefix("license:") for tag in found.tags or () if tag.startswith("license:")]
        return Listing(found.sha or "", licences[0] if licences else "", tuple(files))


def verify(path: Path, checksum: str | None, *, name: str = "") -> None:
    """Raises ValueError unless the file has this sha256 or, as hubs name small files, this git blob id."""
    actual = compute_checksum(path, like=checksum or "")
    if actual != checksum:
        raise ValueError(f"{name or path.name} is refused: its checksum is {actual}, expected was {checksum}")


def compute_checksum(path: Path, *, like: str) -> str:
    """The file's checksum of the same kind as `like`."""
    return git_blob_id(path) if len(like) == GIT_BLOB_ID_DIGITS else digest(path)


def digest(path: Path) -> str:
    """The file's sha256, in hexadecimal; a file of any size takes a megabyte of memory."""
    return _feed(hashlib.sha256(), path)


def git_blob_id(path: Path) -> str:
    head = b"blob %d\0" % path.stat().st_size
    return _feed(hashlib.sha1(head, usedforsecurity=False), path)


def _feed(state: Any, path: Path) -> str:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            state.update(chunk)
    return str(state.hexdigest())


def _receive(url: str, part: Path, *, size_bytes: int | None, told: Callable[[int], None] | None) -> None:
    """Append to `part` what is missing of it.

    By plain HTTP, since the library's own download keeps nothing of a file that was cut off by Ctrl-C or a crash:
    https://github.com/huggingface/huggingface_hub/issues/4196
    """
    held = part.stat().st_size if part.exists() else 0
    if size_bytes is not None:
        if held > size_bytes:
            part.unlink()
            held = 0
        _check_room(part.parent, size_bytes - held)
    name = part.name.rsplit(".", 2)[0]
    shown = _show_to(told, held) if told else None if sys.stderr.isatty() else _Lines
    with part.open("ab") as file:
        try:
            http_get(
                url, file, resume_size=held, expected_size=size_bytes, displayed_filename=name,
                headers=build_hf_headers() | {"Accept-Encoding": "identity"},
                tqdm_class=shown,
            )  # fmt: skip
        except TransportError as error:
            if file.tell() == 0:
                raise
            held = file.tell()
            raise HubError(f"{name} broke off after {spell_size(held)}, where the next try goes on") from error
        os.fsync(file.fileno())


def _check_room(folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise HubError(f"no room: {spell_size(needed_bytes)} are needed and {spell_size(free_bytes)} free in {folder}")


def spell_size(size_bytes: int) -> str:
    """`386 MB`, `1.1 GB`."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{max(1, round(size_bytes / 1e6))} MB"


class _Lines(tqdm):
    """The progress where no terminal redraws a bar: a line of its own, at most every ten seconds."""

    def __init__(self, *args: Any, **given: Any) -> None:
        shown = "  {desc} {percentage:3.0f}%  {n_fmt} of {total_fmt}  {rate_fmt}"
        given |= {"disable": False, "mininterval": 10.0, "bar_format": shown}
        super().__init__(*args, **given)  # type: ignore[no-untyped-call]

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        self.fp.write(f"{self}\n")


def _show_to(told: Callable[[int], None], held: int) -> type[tqdm]:
    """A bar that draws nothing and calls `told` with the bytes there are, from `held` on."""

    class Counter(tqdm):
        def __init__(self, *args: Any, **given: Any) -> None:
            super().__init__(*args, **given | {"disable": True})  # type: ignore[no-untyped-call]
            self.there = held
            told(held)

        def update(self, n: float | None = 1) -> bool | None:
            self.there += int(n or 0)
            told(self.there)
            return None

    return Counter


@contextmanager
def _faults_named(repository: str, what: str) -> Iterator[None]:
    """Turns what the library raises into HubError, in words for the person at the terminal."""
    hub = constants.ENDPOINT
    try:
        yield
    except (OfflineModeIsEnabled, TransportError, InvalidURL) as error:
        raise OutOfReach(f"{hub} cannot be reached: {_brief(error)}") from error
    except GatedRepoError as error:
        page = f"{hub}/{repository}"
        raise HubError(f"{repository} is gated: accept its terms at {page} and set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise HubError(f"{hub} has no repository {repository}, or it is private") from error
    except (HTTPError, OSError, ValueError, KeyError, TypeError) as error:  # the last three: an answer of another form
        raise HubError(f"{hub} {what}: {_brief(error)}") from error


def _brief(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
