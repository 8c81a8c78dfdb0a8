"""What may stand in config.json and experts.json; every default is written here, on its field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from ..experts import Example, Expert

Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]
AtLeastOne = Annotated[int, Meta(ge=1)]

LOCAL_ORIGINS = (
    "http://localhost", "https://localhost", "http://127.0.0.1", "https://127.0.0.1", "http://0.0.0.0",
    "https://0.0.0.0", "http://[::1]", "https://[::1]", "app://", "file://", "tauri://", "vscode-webview://",
    "vscode-file://",
)


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of config.json; an unknown key in it is an error."""


class ScoringWeights(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    max_keyword: NotNegative = 0.40
    description: NotNegative = 0.30
    mean_keyword: NotNegative = 0.20
    top3_vote: NotNegative = 0.10


class RouterConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`model_path`: None = the encoder made at set-up, "" = no encoder (keyword mode), else a folder."""

    mode: Literal["generic", "model"] = "generic"
    router_type: Literal["embedding", "classification"] = "embedding"
    model_path: str | None = None
    categories_file: str = ""
    scorer: Literal["hybrid", "lemoe"] = "hybrid"
    confidence_threshold: Share = 0.25
    confidence_threshold_keyword: Share | None = None
    keyword_fallback: bool = True
    softmax_temperature: Positive = 0.03
    scoring_weights: ScoringWeights = ScoringWeights()
    context_messages: AtLeastOne = 3
    context_max_chars: AtLeastOne = 1600
    unknown_model: Literal["error", "route"] = "error"

    @property
    def classifies(self) -> bool:
        return self.mode == "model" or self.router_type == "classification"

    @property
    def keyword_threshold(self) -> float:
        given = self.confidence_threshold_keyword
        return self.confidence_threshold / 2 if given is None else given


class EngineConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    n_threads: AtLeastOne | None = None
    n_ctx: AtLeastOne | None = None
    n_batch: AtLeastOne | None = None


class MemoryConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many models of this process stay in memory, and for how long; "auto" goes by the memory that is free."""

    max_models: AtLeastOne = 3
    ttl_s: NotNegative = 300
    max_bytes: AtLeastOne | Literal["auto"] = "auto"


class NodeConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Ollama server that experts name in `url` and `urls`. `vram_gb`: what its models may take together, in 10^9
    bytes, None where nobody knows; `max_parallel`: None = as for every node."""

    name: Annotated[str, Meta(min_length=1)]
    url: Annotated[str, Meta(min_length=1)]
    vram_gb: Positive | None = None
    max_parallel: AtLeastOne | None = None

    @property
    def vram(self) -> int | None:
        """In bytes."""
        return None if self.vram_gb is None else int(self.vram_gb * 10**9)


class RunnerConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How upstreams are reached; `api_timeout` and `ollama_timeout` (LeMoE's keys) are idle limits in seconds."""

    api_timeout: Positive | None = None
    ollama_timeout: Positive | None = None
    ollama_allowed_hosts: tuple[str, ...] = ()
    ollama_url: str = ""
    retries: Annotated[int, Meta(ge=0, le=10)] = 1
    backoff_s: NotNegative = 0.5
    connect_timeout_s: Positive = 5
    first_token_timeout_s: Positive = 12
    cold_load_timeout_s: Positive = 300
    idle_timeout_s: Positive = 30
    breaker_failures: AtLeastOne = 3
    breaker_cooldown_s: Positive = 10
    max_parallel: AtLeastOne | None = None


class ServerConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 11435
    threads: Annotated[int, Meta(ge=4, le=2048)] = 128
    queue: Count = 256
    max_body_bytes: AtLeastOne = 1024 * 1024
    max_body_bytes_media: AtLeastOne = 20 * 1024 * 1024
    max_upload_bytes: AtLeastOne = 32 * 1024 ** 3
    manage_node: str = ""
    fetch_images: bool = False
    max_image_bytes: AtLeastOne = 10 * 1024 * 1024
    hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = LOCAL_ORIGINS
    reply_model: Literal["answering", "requested"] = "answering"


class RateLimitConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    requests_per_minute: Count = 60
    exempt: tuple[str, ...] = ("127.0.0.0/8", "::1")


class ModelsConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the model lists go: the router alone, its experts too, or every model; all answer by name."""

    list: Literal["virtual", "experts", "raw"] = "raw"


class ResponseConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    footer: bool = False


class DocumentsConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large a file may be that comes with a prompt: itself, in pages, and in the text read from it."""

    max_bytes: AtLeastOne = 15 * 1024 * 1024
    max_pages: AtLeastOne = 500
    max_chars: AtLeastOne = 500_000
    timeout_s: Positive = 30


class ToolsConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exact tools. `inline`: they answer a prompt that is a question to one of them; `ground`: what they find in
    any other is handed to the expert; `offer`: models may call them, "auto" where the client brings none of its own.

    For one answer, calls are made in at most `max_rounds` and for `deadline_s` seconds, and each gives the model at
    most `max_result_chars`.
    """

    inline: bool = True
    ground: bool = True
    offer: Literal["auto", "always", "never"] = "auto"
    disabled: tuple[str, ...] = ()
    max_rounds: Annotated[int, Meta(ge=1, le=20)] = 5
    deadline_s: Positive = 60
    max_result_chars: Annotated[int, Meta(ge=200)] = 8000


class PipelineConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far an orchestrated answer may go. An answer whose confidence is below `escalate_below` goes to tier 2.

    For one request at most `max_calls` of models, `max_tokens` in all of them together and `deadline_s` seconds, at
    most `parallel` at once. `planner` and `judge` are experts' labels: who divides a request, and who merges and checks
    the answers; "" leaves it to the line.
    """

    escalate_below: Share = 0.65
    max_calls: Annotated[int, Meta(ge=1, le=64)] = 8
    max_tokens: AtLeastOne | None = None
    deadline_s: Positive = 300
    parallel: Annotated[int, Meta(ge=1, le=32)] = 4
    planner: str = ""
    judge: str = ""


class PrivacyConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether anything that was said may be kept, where a client asks for that."""

    keep_text: bool = False


class ConfigFile(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """config.json as a whole."""

    router: RouterConfig = RouterConfig()
    ai_engine: EngineConfig = EngineConfig()
    memory: MemoryConfig = MemoryConfig()
    expert_runner: RunnerConfig = RunnerConfig()
    nodes: tuple[NodeConfig, ...] = ()
    server: ServerConfig = ServerConfig()
    rate_limit: RateLimitConfig = RateLimitConfig()
    models: ModelsConfig = ModelsConfig()
    response: ResponseConfig = ResponseConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    documents: DocumentsConfig = DocumentsConfig()
    tools: ToolsConfig = ToolsConfig()
    pipeline: PipelineConfig = PipelineConfig()
    log_prompts: bool = False


class ExpertsFile(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """experts.json as a whole."""

    max_experts: AtLeastOne = 16
    experts: tuple[Expert, ...] = ()


class Config(Struct, frozen=True, kw_only=True):
    """Both files, checked together. `warnings` are worth a log line; `files` are what a reload watches.

    `examples` by the expert's label: its own and those of its file, each text once.
    """

    router: RouterConfig
    ai_engine: EngineConfig
    memory: MemoryConfig
    expert_runner: RunnerConfig
    nodes: tuple[NodeConfig, ...] = ()
    server: ServerConfig
    rate_limit: RateLimitConfig
    models: ModelsConfig = ModelsConfig()
    response: ResponseConfig = ResponseConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    documents: DocumentsConfig = DocumentsConfig()
    tools: ToolsConfig = ToolsConfig()
    pipeline: PipelineConfig = PipelineConfig()
    log_prompts: bool
    experts: tuple[Expert, ...]
    folder: Path
    files: tuple[Path, ...]
    warnings: tuple[str, ...] = ()
    examples: dict[str, tuple[Example, ...]] = {}

    @property
    def fallback(self) -> Expert:
        return next(expert for expert in self.experts if expert.is_fallback)

    def expert(self, label: str) -> Expert | None:
        return next((expert for expert in self.experts if expert.label == label), None)


class Foreign(Struct, frozen=True):
    """Keys of LeMoE's later versions and plugins: accepted with a warning, without effect here."""

    top: frozenset[str] = frozenset({
        "model_router", "tool_calling", "updater", "plugins", "image_router", "system_time", "user_profile",
        "routing_transparency", "pii_masker", "telemetry_dashboard", "license_manager", "paperless",
        "contextual_cascade", "keyword_enrichment", "version",
    })
    expert: frozenset[str] = frozenset({"regex_triggers"})


FOREIGN = Foreign()


