"""Fits the hybrid scorer in a process of its own, so that scikit-learn never enters the server's.

`python -m moe.routing.fit` reads a Task as one line of JSON and ends when that pipe does. It writes lines of JSON:
`{"share": 0.4, "step": "…"}` on the way, at last `{"done": true}` or `{"error": "…"}`. Where the head cannot be kept in
its place, `done` has beside it the `file` it is in instead, for the reader to remove, and why: `unkept`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from ..embed import Embedder, find_quick, load_embedder
from ..errors import NotReady
from .head import Head, Support, save_head
from .rows import Row, Task, find_file
from .scoring import Floats
from .text import clean
from .vectors import VectorCache

if TYPE_CHECKING:
    from .learner import Places, Rows

KEPT_ROWS = 60_000
NICENESS = 10

Told = Callable[[float, str], None]


def fit_task(task: Task, told: Told) -> dict[str, str]:
    """Encodes what is not in the cache, fits, and writes the head's file, in a temporary place where its own cannot be
    written. Returns what is to be told of that. Raises NotReady, OSError, ImportError."""
    embedder = load_embedder(task.model_path, Path(task.models_folder))
    if embedder is None or embedder.fingerprint != task.fingerprint:
        raise NotReady("the encoder is not the one that was asked for")
    vectors = _encode(task.rows, embedder, Path(task.data_folder) / "vectors", told)
    quick = find_quick(embedder)
    head = fit_head(task.rows, vectors, len(task.labels), told, quick=quick.columns if quick is not None else None)
    file = find_file(task)
    try:
        save_head(head, file)
        return {}
    except OSError as error:
        elsewhere = _make_file()
        save_head(head, elsewhere)
        return {"file": str(elsewhere), "unkept": f"{file.parent}: {error.strerror or error}"}


def fit_head(rows: Sequence[Row], vectors: Floats, count: int, told: Told = lambda share, step: None, *,
             quick: slice | None = None) -> Head:
    """The scorer for `count` experts from their rows, at least one each, and the rows' unit vectors [m, d], of which
    the columns `quick` are those of the part that is asked first."""
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    from .learner import Rows  # noqa: PLC0415
    from .mixing import choose_folds  # noqa: PLC0415

    with threadpool_limits(1):  # whoever fits has the machine to share, and gains little from a second core
        told(0.6, "reading the examples")
        learnt = Rows(rows, vectors, count)
        folds = choose_folds(learnt)
        head = _fit(learnt, folds, lambda share, step: told(0.65 + 0.25 * share, step))
        if quick is not None:
            told(0.9, "once more for the part that is asked first")
            head = msgspec.structs.replace(head, quick=_fit(learnt.keep(quick), folds, lambda share, step: None))
    return head


def _fit(rows: Rows, folds: Places, told: Told) -> Head:
    from .gate import fit_gate  # noqa: PLC0415
    from .mixing import fit_mix  # noqa: PLC0415

    told(0.0, "weighing the parts")
    mix = fit_mix(rows, folds)
    told(0.4, "learning what fits no expert")
    gate = fit_gate(rows, folds, mix)
    told(0.8, "fitting")
    pair = rows.fit(np.arange(len(rows.experts)))
    return Head(pair.dense, rows.grams, pair.grams, _support(rows), mix, gate)


def main() -> int:
    """The exit code: 0 done, 1 failed."""
    os.nice(NICENESS)
    try:
        task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        kept = fit_task(task, lambda share, step: _say(share=round(share, 3), step=step))
    except ImportError as error:
        _say(error=f"{error.name or error} is not installed: run ./setup.sh")
        return 1
    except (NotReady, OSError, ValueError, MemoryError) as error:
        _say(error=str(error) or type(error).__name__)
        return 1
    _say(done=True, **kept)
    return 0


def _make_file() -> Path:
    """An empty file of this user's alone."""
    descriptor, name = tempfile.mkstemp(prefix="moe-head-", suffix=".npz")
    os.close(descriptor)
    return Path(name)


def _encode(rows: Sequence[Row], embedder: Embedder, folder: Path, told: Told) -> Floats:
    """Examples are what is asked, so they are encoded as queries are."""
    cache = VectorCache(folder, embedder, kind="query", kept_rows=KEPT_ROWS)
    return cache.rows([clean(row.text) for row in rows], told=lambda share: told(0.6 * share, "encoding the examples"))


def _support(rows: Rows) -> Support:
    own = [rows.choose_support(np.flatnonzero(rows.experts == expert)) for expert in range(rows.count)]
    starts = np.cumsum([0, *map(len, own)])[:-1]
    return Support(np.concatenate(own), starts.astype(np.intp))


def _end_with_parent() -> None:
    """Whoever started this keeps the pipe open; when it is closed nobody wants the head any more."""
    sys.stdin.buffer.read()
    os._exit(1)


def _say(**told: object) -> None:
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
