"""Opens ONNX graphs and tokenizers: the one place that knows onnxruntime, tokenizers and sentencepiece."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .config.settings import prefer
from .errors import NotReady

# A tokenizer of 260,000 words takes 35 MB; reading one takes some ten times its size in memory.
TOKENIZER_LIMIT_BYTES = 128 << 20


class EngineError(NotReady):
    """A graph or tokenizer that cannot be read or run; the text says why, in the library's words."""

    reason = "broken model file"


def open_session(file: Path, *, threads: int = 1) -> Any:
    """An onnxruntime session whose threads sleep when they wait. Raises EngineError, or NotReady without onnxruntime.

    The memory arena stays on: without it every caller's thread keeps its own share of what the runs took. One fusion
    stays out: on a CPU its kernel takes two to four times as long as what it replaces.
    """
    onnxruntime = _import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"], disabled_optimizers=["SkipLayerNormFusion"]
        )
    except _faults() as error:
        raise EngineError(f"{file.name} is no graph that can run here: {_brief(error)}") from error


def run(session: Any, outputs: Sequence[str], feeds: Mapping[str, Any]) -> list[Any]:
    """The outputs as onnxruntime's own values, which can be fed again uncopied. Raises EngineError."""
    onnxruntime = _import_onnxruntime()
    values = {name: value if isinstance(value, onnxruntime.OrtValue)
              else onnxruntime.OrtValue.ortvalue_from_numpy(value) for name, value in feeds.items()}
    try:
        return list(session.run_with_ort_values(list(outputs), values))
    except _faults() as error:
        raise EngineError(f"the model's graph fails: {_brief(error)}") from error


def open_tokenizer(file: Path) -> Any:
    """A `tokenizers.Tokenizer` without padding or truncation. Raises EngineError, or NotReady without tokenizers."""
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415
    except ImportError as error:
        raise NotReady("the package tokenizers is missing: run ./setup.sh", reason="engine not installed") from error
    try:
        if file.stat().st_size > TOKENIZER_LIMIT_BYTES:
            raise EngineError(f"{file.name} is larger than {TOKENIZER_LIMIT_BYTES >> 20} MB")
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.no_padding()
        tokenizer.no_truncation()
    except OSError as error:
        raise EngineError(f"{file.name} cannot be read: {error.strerror}") from error
    except EngineError:
        raise
    except BaseException as error:
        # It raises bare Exceptions, and PanicException, which is not even one, where its own code gave up.
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise EngineError(f"{file.name} is no tokenizer: {_brief(error)}") from error
        raise
    return tokenizer


def open_pieces(file: Path) -> Any:
    """A `sentencepiece.SentencePieceProcessor`. Raises EngineError, or NotReady without sentencepiece.

    Its own library reads it: as a Tokenizer the same 128,000 pieces take 124 MB in place of 27, and some scripts'
    combining marks come out as other tokens.
    """
    try:
        from sentencepiece import SentencePieceProcessor  # noqa: PLC0415
    except ImportError as error:
        raise NotReady("the package sentencepiece is missing: run ./setup.sh", reason="engine not installed") from error
    try:
        return SentencePieceProcessor(model_file=str(file))
    except (OSError, RuntimeError) as error:
        raise EngineError(f"{file.name} is no sentencepiece model: {_brief(error)}") from error


def encode(tokenizer: Any, parts: Iterable[str], *, adds_marks: bool) -> list[int]:
    """The token ids of a text given in parts, in which no token lies in two of them.

    `adds_marks`: with what the tokenizer itself puts before and after a text. Lone surrogates, which JSON can carry
    and no tokenizer takes, become question marks.
    """
    found = [tokenizer.encode(_valid(part), add_special_tokens=False) for part in parts]
    whole = found[0] if len(found) == 1 else type(found[0]).merge(found)
    return list(tokenizer.post_process(whole).ids if adds_marks else whole.ids)


def keep_quiet() -> None:
    """To be called before onnxruntime is imported: it would report each session to its maker over the internet."""
    prefer(ORT_DISABLE_TELEMETRY="1")


def list_controls(tokenizer: Any) -> dict[int, str]:
    """The tokens that are no text, by their number."""
    return {token: str(added.content) for token, added in tokenizer.get_added_tokens_decoder().items() if added.special}


def _valid(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _import_onnxruntime() -> Any:
    keep_quiet()
    try:
        import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        raise NotReady("the package onnxruntime is missing: run ./setup.sh", reason="engine not installed") from error
    return onnxruntime


def _faults() -> tuple[type[BaseException], ...]:
    """What onnxruntime raises: a family of classes that have nothing in common, and a few of Python's own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415

    named = [found for found in vars(state).values() if isinstance(found, type) and issubclass(found, Exception)]
    return (*named, RuntimeError, ValueError, MemoryError, OSError)


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
