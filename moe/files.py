"""Files that are written whole or not at all, and set aside when they cannot be read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole(file: Path) -> Iterator[IO[bytes]]:
    """What is written to it becomes `file` at the end: a reader or a crash never sees half of it. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.stem}-", suffix=".part", delete=False) as part:
        try:
            yield part
            part.flush()
            os.fsync(part.fileno())
            part.close()
            os.replace(part.name, file)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise


def set_aside(file: Path) -> str:
    """Keeps a broken `file` under another name, so that nothing overwrites it; says what became of it."""
    aside = file.with_suffix(f".broken{file.suffix}")
    try:
        file.replace(aside)
    except OSError as error:
        return f"it cannot be set aside ({error})"
    return f"kept as {aside.name}"
