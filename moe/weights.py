"""A model for this process, from a hub into the models folder: `python -m moe.weights [NAME]`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from .config.settings import Settings
from .errors import MoeError
from .hub import File, HubError, OutOfReach, Repository, list_files, spell_size, verify

MAGIC = b"GGUF"
SUFFIX = ".gguf"
QUANT = "Q4_K_M"  # what a repository with several files is taken in: a third of the size, hardly any of the sense lost
STOPPED = 130  # what a shell calls a program that Ctrl-C ended
_PAGE = r"(?:(?:https://)?(?:huggingface\.co|hf\.co)/)?"  # a pasted link is understood too
_NAME = re.compile(_PAGE + r"([\w.-]+/[\w.-]+?)(?::([\w.-]+)|/(?:(?:blob|resolve)/main/)?(.+\.gguf))?/?")
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf")
_NO_MODEL = re.compile(r"mmproj|imatrix", re.IGNORECASE)  # a vision model's eyes, a quantiser's statistics


class WeightsError(MoeError):
    """There is no such model, or not one alone; the text says what there is, for the person at the terminal."""

    code = "no_weights"


@dataclass(frozen=True)
class Entry:
    """A model that has a short name; `megabytes` is what the file takes, on disk and then in memory."""

    repo: str
    file: str
    megabytes: int
    licence: str
    remark: str


# All of them answer at once instead of thinking first, which on a processor takes minutes.
DEFAULT = "qwen2.5-1.5b"
CATALOG: Mapping[str, Entry] = {
    "smollm2-360m": Entry(
        "HuggingFaceTB/SmolLM2-360M-Instruct-GGUF", "smollm2-360m-instruct-q8_0.gguf",
        386, "Apache-2.0", "English only; the quickest",
    ),
    "qwen2.5-0.5b": Entry(
        "Qwen/Qwen2.5-0.5B-Instruct-GGUF", "qwen2.5-0.5b-instruct-q8_0.gguf",
        676, "Apache-2.0", "29 languages",
    ),
    "qwen2.5-1.5b": Entry(
        "Qwen/Qwen2.5-1.5B-Instruct-GGUF", "qwen2.5-1.5b-instruct-q4_k_m.gguf",
        1117, "Apache-2.0", "29 languages, tools",
    ),
    "qwen3-4b": Entry(
        "unsloth/Qwen3-4B-Instruct-2507-GGUF", "Qwen3-4B-Instruct-2507-Q4_K_M.gguf",
        2497, "Apache-2.0", "119 languages, tools; the best and the slowest",
    ),
}  # fmt: skip


class Wanted(NamedTuple):
    """A repository, and which of its files: one by its name, the one in this quantisation, or ("") the usual one."""

    repo: str
    quant: str = ""
    file: str = ""


def read_name(text: str) -> Wanted:
    """A short name, OWNER/REPO, OWNER/REPO:QUANT or OWNER/REPO/FILE.gguf. Raises WeightsError."""
    if entry := CATALOG.get(text.casefold()):
        return Wanted(entry.repo, file=entry.file)
    if found := _NAME.fullmatch(text):
        return Wanted(found[1], found[2] or "", found[3] or "")
    raise WeightsError(f"There is no model {text!r}. There are\n{spell_catalog()}\nand any OWNER/REPO of the hub.")


def spell_catalog() -> str:
    """The short names as a table, one a line."""
    return "\n".join(
        f"  {name:14}{spell_size(int(entry.megabytes * 1e6)):>7}  {entry.licence}  {entry.remark}"
        f"{' (the default)' if name == DEFAULT else ''}"
        for name, entry in CATALOG.items()
    )


def provide(name: str, home: Path) -> str:
    """The model in `home`, unless it is there; gives one line to print.

    Only a whole file with the hub's checksum gets there. Raises WeightsError and HubError, and then has changed
    nothing but what `.downloads` keeps of a broken download.
    """
    wanted = read_name(name)
    try:
        listing = list_files(wanted.repo)
    except OutOfReach as error:
        kept = home / PurePosixPath(wanted.file).name
        if wanted.file and kept.is_file():
            return f"{kept} is there already; not compared with the hub's, since {error}"
        raise
    file = pick(listing.files, wanted)
    target = home / PurePosixPath(file.name).name
    size = spell_size(file.size_bytes)
    if target.exists():
        check_same(target, file)
        return f"Model ready: {target}, {size}, was there already"
    print(f"{wanted.repo}/{file.name}: {size}, licence {listing.licence or 'not named'}", flush=True)
    downloads = home / ".downloads"
    try:
        fetch(Repository(wanted.repo, listing.revision, downloads), file).replace(target)
    finally:
        if downloads.is_dir() and not any(downloads.iterdir()):
            downloads.rmdir()
    return f"Model ready: {target}, {size}"


def check_same(path: Path, file: File) -> None:
    """Raises WeightsError when `path` is not the hub's file."""
    if not is_same(path, file):
        raise WeightsError(f"{path} is there, but is not the hub's file of that name: move it away first")


def is_same(path: Path, file: File) -> bool:
    """Whether `path` is the hub's file; one of the same size is read for that."""
    if path.stat().st_size != file.size_bytes:
        return False
    try:
        verify(path, file.checksum)
    except ValueError:
        return False
    return True


def fetch(repository: Repository, file: File, *, told: Callable[[int], None] | None = None) -> Path:
    path = repository.fetch(file.name, told=told)
    with path.open("rb") as content:
        found = content.read(len(MAGIC))
    if found != MAGIC:
        path.unlink()
        raise WeightsError(f"{file.name} is refused: it is no GGUF file, it begins with {found!r}")
    return path


def pick(files: Sequence[File], wanted: Wanted) -> File:
    """The one file that is meant. Raises WeightsError with what there is."""
    models = [file for file in files if is_model(file.name)]
    if not models:
        raise WeightsError(f"{wanted.repo} has no GGUF file; repositories that do mostly end in -GGUF.")
    if wanted.file:
        found = [file for file in models if file.name == wanted.file]
    elif len(models) == 1 and not wanted.quant:
        found = models
    else:
        found = [file for file in models if is_in(wanted.quant or QUANT, file.name)]
    whole = [file for file in found if not _PART.search(file.name)]
    if len(whole) == 1:
        return whole[0]
    asked = wanted.file or wanted.quant or QUANT
    if found and not whole:
        problem = f"{asked} of {wanted.repo} is split into several files, and only a whole one can be used."
    else:
        problem = f"{wanted.repo} has {'several files in' if whole else 'no'} {asked}."
    raise WeightsError(f"{problem} {spell_choice(models, wanted.repo)}")


def spell_choice(models: Sequence[File], repo: str) -> str:
    whole = [file for file in models if not _PART.search(file.name)]
    if not whole:
        return "It has no whole one."
    rows = [f"  ./setup.sh --model {repo}/{file.name}   {spell_size(file.size_bytes)}" for file in whole]
    return "\n".join(["There is:", *rows])


def is_model(name: str) -> bool:
    """Whether it is a GGUF file of a language model, or a part of one."""
    file = PurePosixPath(name).name
    return file.endswith(SUFFIX) and file[0] != "." and name.isprintable() and not _NO_MODEL.search(file)


def is_in(quant: str, name: str) -> bool:
    """Whether a file's name says this quantisation: "q4_k_m" is in "x-Q4_K_M.gguf" and not "q4_k"."""
    file = PurePosixPath(name).name
    return re.search(rf"(?<![a-z0-9]){re.escape(quant)}(?![a-z0-9_])", file, re.IGNORECASE) is not None


def run(name: str, home: Path) -> int:
    try:
        print(provide(name, home))
        return 0
    except OutOfReach as error:
        print(f"{error}. By hand: put any .gguf file into {home}; the next start finds it.")
    except (HubError, WeightsError) as error:
        print(error)
    except KeyboardInterrupt:
        print("\nStopped. What has arrived is kept: the same command goes on from there.")
        return STOPPED
    return 1


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m moe.weights", description="Fetch a model in GGUF.", epilog=f"names:\n{spell_catalog()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    forms = "a name below, OWNER/REPO, OWNER/REPO:QUANT or OWNER/REPO/FILE.gguf"
    parser.add_argument("name", nargs="?", default=DEFAULT, help=forms)
    parser.add_argument("--models", type=Path, help="the folder it goes to (MOE_MODELS, else models)")
    options = parser.parse_args(arguments)
    return run(options.name, options.models or Settings.gather().models_folder)


if __name__ == "__main__":
    sys.exit(main())
