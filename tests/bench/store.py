"""What the benchmark makes once and keeps in `.bench/`, outside git: environments of its own, and a model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.bench.process import ROOT
from tests.bench.report import say

FOLDER = ROOT / ".bench"
MODELS = "models"
LITELLM = ("litellm", ("litellm[proxy]==1.106.2",))
TOOLS = ("tools", ("py-spy==0.4.3", "gguf==0.19.0"))


class Unavailable(RuntimeError):
    """Something that a case needs cannot be had here; the text says what and why."""


class Store:
    """A folder that git ignores; everything in it may be deleted at any time."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.models = folder / MODELS
        self.models.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", "utf-8")

    def environment(self, name: str, packages: tuple[str, ...]) -> Path:
        """The programs' folder of an environment with exactly these packages. Raises Unavailable."""
        home = self.folder / name
        done, wanted = home / "packages.txt", "\n".join(packages)
        if not done.is_file() or done.read_text("utf-8") != wanted:
            say(f"installing {', '.join(packages)} into {home}")
            _call([sys.executable, "-m", "venv", "--clear", str(home)])
            _call([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages])
            done.write_text(wanted, "utf-8")
        return home / "bin"

    def model(self, kind: str) -> Path:
        """The random model quantised as `kind` (Q8_0, Q4_K_M), made when it is not there. Raises Unavailable."""
        file = self.models / f"random-135m-{kind.lower()}.gguf"
        if not file.is_file():
            whole = self.folder / "random-135m-f16.gguf"
            if not whole.is_file():
                say(f"making {whole}")
                python = self.environment(*TOOLS) / "python"
                _make([str(python), str(Path(__file__).with_name("weights.py"))], whole)
            say(f"making {file}")
            _make([sys.executable, str(Path(__file__).with_name("quantise.py")), str(whole), kind], file)
        return file


def _make(command: list[str], file: Path) -> None:
    """Runs it with a name for its file that becomes the right one when it is whole."""
    part = file.with_suffix(".part")
    _call([*command, str(part)])
    part.rename(file)


def _call(command: list[str]) -> None:
    try:
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        said = [line for line in (error.stderr or error.stdout).splitlines() if line.strip()] or ["nothing said"]
        raise Unavailable(f"{Path(command[0]).name} {' '.join(command[1:4])} … failed: {said[-1]}") from error
