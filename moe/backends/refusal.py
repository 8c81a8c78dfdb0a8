"""What an upstream's error status and its body mean, in whichever words they are told."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime

import msgspec

from ..errors import BackendError, UpstreamFailure, UpstreamRefusal
from ..log import clean

ERROR_BODY_BYTES = 64 * 1024
LONGEST_CODE = 100
LONGEST_RETRY_S = 3600.0
LONGEST_WORDS = 200
_REFUSALS = (400, 413, 422)
# What an upstream's words may tell of its machine: links, addresses, paths, keys.
_PRIVATE = re.compile(
    r"""\w+://[^\s"'<>]+ | \[[0-9a-fA-F:.]+\](:\d+)? | \d+(\.\d+){3}(:\d+)? | localhost(:\d+)?
    | (?<![\w<])~?(/[\w.+@-]+)+/? | \b[A-Za-z]:\\\S* | \b(sk|key|hf|gsk)[-_][\w-]{8,} | Bearer\s+\S+""", re.VERBOSE)


def refuse(status: int, body: bytes, retry_after: str | None) -> BackendError:
    """The error that an upstream's status and body mean."""
    told, code = read_error(body)
    text = told or f"status {status}"
    if status not in _REFUSALS:
        return UpstreamFailure(text, upstream_status=status, retry_after_s=_seconds(retry_after))
    folded = text.casefold()
    if "context" in folded and any(word in folded for word in ("length", "exceed", "window", "too long")):
        code = "context_length_exceeded"
    return UpstreamRefusal(text, status=status, code=code or "bad_request")


def tell_failure(words: str, *, status: int = 500) -> UpstreamFailure:
    """The error that an upstream tells within its answer; a client is told it too, as far as it concerns one."""
    error = UpstreamFailure(words[:2000] or "no reason given", upstream_status=status)
    shown = clean(" ".join(_PRIVATE.sub("…", words[:2000]).split()), limit=LONGEST_WORDS)
    if shown:
        error.reason = f"upstream error: {shown}"
    return error


def read_error(body: bytes) -> tuple[str, str]:
    """The message (at most 2,000 characters) and the code in an error body of any dialect, "" where there is none."""
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace").strip()[:2000], ""
    inner = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(inner, dict):
        return str(inner)[:2000], ""
    code = inner.get("code")
    is_word = isinstance(code, str) and len(code) <= LONGEST_CODE
    return str(inner.get("message") or inner.get("detail") or "")[:2000], str(code) if is_word else ""


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` in seconds, at most an hour; its date form is turned into a distance from now."""
    if not retry_after:
        return None
    try:
        wait_s = float(retry_after)
    except ValueError:
        try:
            wait_s = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(0.0, wait_s), LONGEST_RETRY_S)
