"""waitress's settings for one server."""

from __future__ import annotations

from typing import Any

from waitress.adjustments import Adjustments

from moe.web.intake import Limits, Uploads

BACKLOG = 1024
# A worker blocks once so much of its answer waits for the client, so this is what a slow reader can cost.
UNSENT_BYTES = 128 << 10
BODY_IN_MEMORY_BYTES = 128 << 10  # a larger body is kept in a temporary file


def adjust(host: str, limits: Limits, uploads: Uploads | None = None) -> Any:
    """For requests in general; its `uploads` are for those that go to `uploads`, None where none do."""
    adjustments = Adjustments(
        ident="moe",
        server_name=host or "localhost",
        backlog=BACKLOG,
        # Reads on while a request runs, which is how a client that left is noticed; one that only
        # closes its sending side (no HTTP library does) looks the same.
        channel_request_lookahead=1,
        max_request_header_size=limits.head_bytes,
        inbuf_overflow=BODY_IN_MEMORY_BYTES,
        outbuf_high_watermark=UNSENT_BYTES,
        clear_untrusted_proxy_headers=False,  # the app decides whom it trusts
        log_socket_errors=False,
    )
    adjustments.uploads = None
    if uploads is not None:
        adjustments.uploads = adjust(host, limits)
        adjustments.uploads.folder = uploads.folder
        limit_body(adjustments.uploads, uploads.max_bytes)
    return adjustments


def limit_body(adjustments: Any, limit_bytes: int) -> None:
    adjustments.max_body_bytes = limit_bytes
    adjustments.max_request_body_size = 2 * limit_bytes + 65536  # counts chunk framing
