"""Where a model's files are: inside the models folder and nowhere else, whatever a path says."""

from __future__ import annotations

from pathlib import Path

from ..errors import NotReady

Stamp = tuple[str, int, int]


def confine(path: str, folder: Path) -> Path:
    """The canonical place of `path`, which counts from `folder`, whose name it may begin with: "x.gguf",
    "models/x.gguf" wherever `folder` is.

    Raises NotReady when it leads out of `folder`, by dots, from the root or by a symbolic link; whether anything
    is there is not looked at.
    """
    try:
        home = folder.resolve()
        places = [home / path, home.parent / path, home / path.removeprefix("models/")]
        found = next((place for place in places if place.exists()), places[-1]).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a NUL, a name too long, links in a circle
        raise NotReady(f"model_path {path[:80]!r} is no usable path: {error}", reason="unusable model_path") from error
    if home not in found.parents:
        raise NotReady(
            f"model_path {path[:80]!r} leads out of {home}: move the file there", reason="model_path is not in models/"
        )
    return found


def is_missing(path: str, folder: Path) -> bool:
    """Whether `path` leads to nothing; one that leads out of `folder` is another matter."""
    try:
        return not confine(path, folder).exists()
    except NotReady:
        return False


def stamp(file: Path) -> Stamp:
    """What changes whenever the file does: its place, time and size. Raises NotReady when there is no file."""
    try:
        found = file.stat()
    except OSError as error:
        told = f"{file.name} is not in {file.parent}: put it there"
        raise NotReady(told, reason="model file missing") from error
    return str(file), found.st_mtime_ns, found.st_size
