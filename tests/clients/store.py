"""The clients' own environments, kept outside the repository; what is there may be deleted at any time."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients.catalogue import Environment

LONGEST_INSTALL_S = 420.0


class Unavailable(RuntimeError):
    """A client cannot be had here; the text says why."""


def default_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "moe-clients"


class Store:
    """One folder for each set of packages; two runs at a time do not make the same one."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()
        self.folder.mkdir(parents=True, exist_ok=True)

    def home(self, environment: Environment) -> Path:
        """The folder of a virtual environment, or the one that holds `node_modules`, made if need be.

        Raises Unavailable.
        """
        if environment.kind == "node" and not (shutil.which("npm") and shutil.which("node")):
            raise Unavailable("node and npm are not installed")
        make = self._make_python if environment.kind == "python" else self._make_node
        runs_on = f"python {sys.version.split()[0]}" if environment.kind == "python" else "node"
        with self._making(environment.name, (*environment.packages, runs_on)) as home:
            if home is not None:
                make(home, environment.packages)
        return self.folder / environment.name

    def _make_python(self, home: Path, packages: tuple[str, ...]) -> None:
        _call([sys.executable, "-m", "venv", "--clear", str(home)])
        quiet = ("--quiet", "--disable-pip-version-check", "--no-compile")
        _call([str(home / "bin" / "python"), "-m", "pip", "install", *quiet, *packages])

    def _make_node(self, home: Path, packages: tuple[str, ...]) -> None:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
        _call(["npm", "install", "--prefix", str(home), *quiet, *packages])

    @contextmanager
    def _making(self, name: str, content: tuple[str, ...]) -> Iterator[Path | None]:
        """The folder to fill while nobody else does, None when it already holds `content`."""
        done, wanted = self.folder / f"{name}.txt", "\n".join(content)
        with (self.folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if done.is_file() and done.read_text("utf-8") == wanted:
                yield None
                return
            done.unlink(missing_ok=True)
            yield self.folder / name
            done.write_text(wanted, "utf-8")


def _call(command: list[str]) -> None:
    try:
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=LONGEST_INSTALL_S)
    except subprocess.CalledProcessError as error:
        said = [line for line in (error.stderr or error.stdout).splitlines() if line.strip()] or ["nothing said"]
        raise Unavailable(f"{' '.join(command[:2])} … failed: {said[-1]}") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"installing took more than {LONGEST_INSTALL_S:.0f} s") from error
