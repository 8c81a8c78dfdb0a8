"""llama.cpp's library, loaded when it is first needed: the one module that imports llama_cpp."""

from __future__ import annotations

import logging
import re
from collections import deque
from functools import cache
from typing import Any

from ...config.settings import prefer
from ...errors import NotReady

log = logging.getLogger("moe.llama")

INSTALL = "./setup.sh --with local"
_WARNING, _ERROR = 3, 4
_FOLDERS = re.compile(r"(?:/[^/\s']+)+/")


@cache
def load_library() -> tuple[Any, deque[str]]:
    """llama_cpp, ready for use, and the errors it told last. Raises NotReady with the command that installs it, or the
    reason why it does not load."""
    # OpenMP's threads spin at every barrier, for milliseconds by default: with another process on the cores that is
    # a collapse, and not to spin at all costs two thirds of a small model's speed. libgomp reads this when it loads.
    prefer(GOMP_SPINCOUNT="1000")
    try:
        import llama_cpp  # noqa: PLC0415
    except (ImportError, OSError, RuntimeError, AttributeError) as error:  # it is not there, or its library fails
        raise _explain(error) from error
    complaints: deque[str] = deque(maxlen=8)

    def hear(level: int, text: bytes, _: Any) -> None:
        line = text.decode("utf-8", "replace").strip()
        if level in (_WARNING, _ERROR) and line:
            log.debug("%s", line)
        if level == _ERROR and line:
            complaints.append(line)

    library: Any = llama_cpp
    heard = library.llama_log_callback(hear)
    library.llama_log_set(heard, None)
    library.moe_log_callback = heard  # llama.cpp keeps no reference of its own, and calls it until the process ends
    library.llama_backend_init()
    return library, complaints


def _explain(error: Exception) -> NotReady:
    """What the linker says may name a driver, so it is told; but the folders of this machine are nobody's business."""
    if isinstance(error, ModuleNotFoundError) and error.name == "llama_cpp":
        return NotReady(f"llama-cpp-python is not installed: run `{INSTALL}`", reason="engine not installed")
    told = _FOLDERS.sub("", " ".join(str(error).split()))[:300]
    return NotReady(f"llama-cpp-python is installed but does not load: {told}", reason="engine does not load")


def uses_drivers() -> bool:
    """Whether it computes on more than processors. Raises NotReady."""
    return bool(load_library()[0].llama_supports_gpu_offload())
