"""The program that fetches one model from a hub into the models folder: `python -m moe.backends.fetching NAME FOLDER`.

A third argument says in JSON which files there came from which place of the hub: only these may be written over. Each
line it prints is a JSON object: Ollama's words on how a pull goes, and last `{"done": …}` or `{"error": "…"}`.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from msgspec import json

from ..hub import File, HubError, Repository, list_files
from ..weights import WeightsError, fetch, is_same, pick, read_name

TOLD_EVERY_S = 0.2
LATEST = ":latest"
FOR_A_SHELL = "./setup.sh --model "
FOLDER = "the models folder"
DOWNLOADS = ".downloads"
Tell = Callable[..., None]


def main(name: str, folder: str, ours: str = "{}") -> int:
    home = Path(folder).absolute()
    try:
        tell(done=_provide(name, home, json.decode(ours, type=dict[str, str])))
        return 0
    except (HubError, WeightsError) as error:
        tell(error=error.message.replace(FOR_A_SHELL, "").replace(f"{home}/{DOWNLOADS}", FOLDER)
             .replace(str(home), FOLDER))
    except OSError as error:
        tell(error=f"{FOLDER} cannot be written: {error.strerror or error}")
    return 1


def tell(**what: Any) -> None:
    sys.stdout.buffer.write(json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


def _provide(name: str, home: Path, ours: dict[str, str]) -> dict[str, Any]:
    """The model in `home`, unless it is there: what `Fetched` says of it."""
    tell(status="pulling manifest")
    if name.count("/") < 2:
        raise WeightsError(f"{name!r} names no repository: one is hf.co/OWNER/REPO or hf.co/OWNER/REPO:QUANT")
    wanted = read_name(name.removesuffix(LATEST))
    listing = list_files(wanted.repo)
    file = pick(listing.files, wanted)
    origin = f"{wanted.repo.casefold()}/{file.name}"
    names = _spell(file, wanted.repo)
    downloads = home / DOWNLOADS
    with _alone(downloads, names):
        target, is_there = _place(file, home, names, own=ours.get(origin, ""))
        if not is_there:
            path = fetch(Repository(wanted.repo, listing.revision, downloads), file, told=_Progress(file).tell)
            tell(status="verifying sha256 digest")
            tell(status="writing manifest")
            path.replace(target)
    return {"file": target.name, "digest": file.checksum or "", "size": file.size_bytes, "is_new": not is_there,
            "origin": origin}


def _spell(file: File, repo: str) -> list[str]:
    """What the file may be called, the best first: many owners give theirs the same name."""
    name, (owner, title) = PurePosixPath(file.name).name, repo.split("/")
    return [name, f"{owner}-{name}", f"{owner}-{title}-{name}"]


def _place(file: File, home: Path, names: list[str], *, own: str) -> tuple[Path, bool]:
    """Where the file is or should be, and whether it is there. `own` is what there is of it from an earlier day, and
    nothing else is written over."""
    earlier = PurePosixPath(own).name
    for name in filter(None, (earlier, *names)):
        target = home / name
        if not target.exists():
            return target, False
        tell(status="verifying sha256 digest")
        if is_same(target, file):
            return target, True
        if name == earlier:
            return target, False
    raise WeightsError(f"{names[-1]} is in {FOLDER}, but is not the hub's file of that name: move it away first")


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
def _alone(downloads: Path, names: Iterable[str]) -> Iterator[None]:
    """Waits until no other process fetches a file of these names; leaves no empty folder behind."""
    locks = [downloads / f".{name}.lock" for name in sorted(set(names))]  # in one order, so that no two wait in a ring
    try:
        with ExitStack() as held:
            for lock in locks:
                held.enter_context(_hold(lock))
                held.callback(lock.unlink)
            yield
    finally:
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
