"""The program that fetches one model from a hub into the models folder: `python -m moe.backends.fetching NAME FOLDER`.

Each line it prints is a JSON object: Ollama's words on how a pull goes, and last `{"done": …}` or `{"error": "…"}`.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

import msgspec

from ..hub import File, HubError, Repository, list_files
from ..weights import WeightsError, check_same, fetch, pick, read_name

TOLD_EVERY_S = 0.2
LATEST = ":latest"
FOR_A_SHELL = "./setup.sh --model "
Tell = Callable[..., None]


def main(name: str, folder: str) -> int:
    try:
        tell(done=_provide(name, Path(folder)))
        return 0
    except (HubError, WeightsError) as error:
        tell(error=error.message.replace(FOR_A_SHELL, ""))
    except OSError as error:
        tell(error=f"the models folder cannot be written: {error.strerror or error}")
    return 1


def tell(**what: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


def _provide(name: str, home: Path) -> dict[str, Any]:
    """The model in `home`, unless it is there: its file, its sha256, its size, and whether it was fetched now."""
    tell(status="pulling manifest")
    if name.count("/") < 2:
        raise WeightsError(f"{name!r} names no repository: one is hf.co/OWNER/REPO or hf.co/OWNER/REPO:QUANT")
    wanted = read_name(name.removesuffix(LATEST))
    listing = list_files(wanted.repo)
    file = pick(listing.files, wanted)
    target = home / PurePosixPath(file.name).name
    downloads = home / ".downloads"
    with _alone(downloads, target.name):
        is_new = not target.exists()
        if is_new:
            path = fetch(Repository(wanted.repo, listing.revision, downloads), file, told=_Progress(file).tell)
            tell(status="verifying sha256 digest")
            tell(status="writing manifest")
            path.replace(target)
        else:
            tell(status="verifying sha256 digest")
            check_same(target, file)
    return {"file": target.name, "digest": file.checksum or "", "size": file.size_bytes, "is_new": is_new}


class _Progress:
    """Says how much of a file there is, a few times a second, and in the end that it is all there."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._told_at = 0.0

    def tell(self, there: int) -> None:
        now, total = time.monotonic(), self._file.size_bytes
        if there < total and now - self._told_at < TOLD_EVERY_S:
            return
        self._told_at = now
        digest = self._file.checksum or ""
        tell(status=f"pulling {digest[:12]}", digest=f"sha256:{digest}", total=total, completed=min(there, total))


@contextmanager
def _alone(downloads: Path, name: str) -> Iterator[None]:
    """Waits until no other process fetches the same file; leaves no empty folder behind."""
    lock = downloads / f".{name}.lock"
    with _hold(lock):
        try:
            yield
        finally:
            lock.unlink()
    with suppress(OSError):  # something else is kept there
        downloads.rmdir()


def _hold(lock: Path) -> TextIO:
    """The locked file; one that another process took away while we waited for it guards nothing any more."""
    while True:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = lock.open("w")
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            if lock.stat().st_ino == os.fstat(held.fileno()).st_ino:
                return held
        except FileNotFoundError:
            pass
        held.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
