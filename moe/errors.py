"""Every way a request can fail, as one family; each dialect renders it once.

MoeError
├── ConfigError                 the configuration is refused (all problems at once)
├── RequestError                the caller's doing
│   ├── BadRequest 400          ├── Forbidden 403        ├── NotFound 404 ── ModelNotFound
│   ├── MethodNotAllowed 405    ├── RequestTimeout 408   ├── TooLarge 413
│   ├── UnknownEncoding 415     ├── TooManyRequests 429
│   ├── HeadersTooLarge 431
│   └── ToolError 422           a tool cannot work it out ── BadArguments 400, UnknownTool 404, ToolTimeout 504
├── Unavailable 503             nothing could answer ── Busy (no thread or place is free)
├── Unanswered 503              every candidate failed
└── BackendError                one upstream failed; dispatch decides what follows
    ├── Unreachable             refused, unresolvable: no connection came to be
    ├── TimedOut                silent for too long
    ├── BadAnswer               garbage, or an empty answer
    ├── BrokenStream            reset before a byte, or died in mid-answer
    ├── UpstreamRefusal         400/413/422: the request itself is at fault; passed on, never resent
    ├── UpstreamFailure         401/403/404/408/429/5xx, or an error told with 200
    ├── InvalidAnswer           JSON was asked for, and twice it was none, or not what the schema says
    ├── Crowded                 too many wait for it already; becomes Busy
    └── NotReady                no model, engine not installed, file missing: says what to do
"""

from __future__ import annotations


class MoeError(Exception):
    """The root. `status` is the HTTP status, `code` a stable word for programs, str() the text for people."""

    status = 500
    code = "internal_error"

    def __init__(self, message: str = "internal error") -> None:
        super().__init__(message)
        self.message = message


class ConfigError(MoeError):
    """The configuration cannot be used; `problems` names each fault with its file, path and line."""

    code = "invalid_config"

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RequestError(MoeError):
    """The caller can mend it."""

    status = 400
    code = "bad_request"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class BadRequest(RequestError):
    """Malformed, of a wrong type, or asking for what cannot be done."""


class Forbidden(RequestError):
    status = 403
    code = "forbidden"


class NotFound(RequestError):
    status = 404
    code = "not_found"


class ModelNotFound(NotFound):
    """No expert, alias or upstream model has this name."""

    code = "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(f"model '{model}' not found", param="model")
        self.model = model


class MethodNotAllowed(RequestError):
    status = 405
    code = "method_not_allowed"


class RequestTimeout(RequestError):
    status = 408
    code = "request_timeout"


class TooLarge(RequestError):
    status = 413
    code = "request_too_large"


class UnknownEncoding(RequestError):
    """The body is packed in a way that is not unpacked here."""

    status = 415
    code = "unsupported_encoding"


class TooManyRequests(RequestError):
    """Over the rate limit; `retry_after_s` whole seconds until a request will pass."""

    status = 429
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class HeadersTooLarge(RequestError):
    status = 431
    code = "headers_too_large"


class ToolError(RequestError):
    """A tool has no answer to this; the message says why."""

    status = 422
    code = "tool_error"


class BadArguments(ToolError):
    """`faults` pairs the path of each wrong argument with what is wrong with it."""

    status = 400
    code = "invalid_arguments"

    def __init__(self, faults: tuple[tuple[str, str], ...]) -> None:
        super().__init__("; ".join(f"{path}: {fault}" for path, fault in faults), param=faults[0][0])
        self.faults = faults


class UnknownTool(ToolError):
    """There is no such tool, or it is disabled."""

    status = 404
    code = "unknown_tool"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no tool '{name}'")


class ToolTimeout(ToolError):
    status = 504
    code = "tool_timeout"


class Unavailable(MoeError):
    """The server cannot answer now."""

    status = 503
    code = "unavailable"


class Busy(Unavailable):
    """Every thread that may serve an answer is taken, every place in the queue, or every model by others."""

    code = "server_busy"

    def __init__(self, *, retry_after_s: float = 1) -> None:
        super().__init__("server busy, please try again.  maximum pending requests exceeded")
        self.retry_after_s = retry_after_s


class Unanswered(Unavailable):
    """Every candidate failed; `tried` pairs each one's label with a reason fit for a client's eyes, `advice` is the
    next step."""

    code = "no_expert_available"

    def __init__(
        self, tried: tuple[tuple[str, str], ...], *, retry_after_s: float | None = None, advice: str = ""
    ) -> None:
        told = "; ".join(f"{label}: {reason}" for label, reason in tried) or "nothing is configured"
        super().__init__(f"no expert could answer ({told})" + (f". Next step: {advice}" if advice else ""))
        self.tried = tried
        self.retry_after_s = retry_after_s


class BackendError(MoeError):
    """One upstream failed. `reason` is a short public phrase; str() may hold details for the log."""

    status = 502
    code = "upstream_error"
    reason = "failed"
    is_worth_a_retry = False

    def __init__(self, message: str = "", *, reason: str = "") -> None:
        super().__init__(message or reason or self.reason)
        if reason:
            self.reason = reason


class Unreachable(BackendError):
    """No connection; asking the same address again at once would end the same way."""

    reason = "unreachable"


class TimedOut(BackendError):
    """Silent beyond its limit; the silent route gets no second attempt."""

    status = 504
    reason = "timed out"


class BadAnswer(BackendError):
    reason = "unusable answer"
    is_worth_a_retry = True


class BrokenStream(BackendError):
    reason = "the answer broke off"
    is_worth_a_retry = True


class UpstreamRefusal(BackendError):
    """The upstream says the request itself is wrong: the caller gets its status and words."""

    reason = "request refused"

    def __init__(self, message: str, *, status: int = 400, code: str = "bad_request") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class UpstreamFailure(BackendError):
    """The upstream answered with an error; `retry_after_s` is what it asked for, None if it did not."""

    def __init__(self, message: str, *, upstream_status: int, retry_after_s: float | None = None) -> None:
        super().__init__(message, reason=f"upstream status {upstream_status}")
        self.upstream_status = upstream_status
        self.retry_after_s = retry_after_s
        self.is_worth_a_retry = upstream_status in (408, 429) or upstream_status >= 500


class InvalidAnswer(BackendError):
    """`said` was the answer, `fault` is what is wrong with it, in words for the model that said it; neither is logged
    or told to the client, who learns which part of the schema is broken."""

    code = "invalid_structured_output"

    def __init__(self, message: str, *, said: str, fault: str) -> None:
        super().__init__(message, reason=message)
        self.said = said
        self.fault = fault


class Crowded(BackendError):
    status = 503
    code = "server_busy"
    reason = "too many are waiting"


class NotReady(BackendError):
    """It cannot run here yet; the message names the exact command that mends it."""

    status = 503
    reason = "not ready"
