"""What llama.cpp itself takes for a step of several answers, on one thread: `python -m tests.bench.steps FILE`.

It bounds what answering together can gain. Prints JSON: milliseconds of processor time for each width.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from moe.backends.llama.native import Native
from moe.backends.llama.runner import Shape

WIDTHS = (1, 2, 4, 8, 16)
TRIES = 8
CELLS = 4096


def measure(file: Path) -> dict[int, float]:
    """The best of some tries for each width."""
    model = Native(file, Shape(cells=CELLS, sequences=max(WIDTHS), threads=1))
    lengths = [0] * max(WIDTHS)
    best = dict.fromkeys(WIDTHS, float("inf"))
    for _ in range(TRIES):
        for width in WIDTHS:
            began = time.thread_time()
            model.decode([(place, lengths[place], [1], True) for place in range(width)])
            model.logits(width)
            best[width] = min(best[width], (time.thread_time() - began) * 1000)
            for place in range(width):
                lengths[place] += 1
    model.close()
    return best


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
