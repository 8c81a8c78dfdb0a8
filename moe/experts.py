"""The experts as experts.json has them: each default of theirs stands here and nowhere else."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field, structs

from .options import KeepAlive

Tier = Literal[1, 2]
TIERS: tuple[Tier, ...] = (1, 2)
# As JSON spells a tier where it is a key.
TierKey = Literal["1", "2"]

# What an expert of this label has where its config says nothing else.
FAMILIES: dict[str, tuple[str, ...]] = {
    "math": ("arithmetic", "algebra"), "data_analyst": ("measures", "texts"), "legal_advisor": ("law",),
}
CHECKED = frozenset({"medical_consult", "legal_advisor"})
THINKING = frozenset({"reasoning"})


class Expert(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One expert as configured in experts.json; each default stands here and nowhere else.

    `models` names the model for each tier; `model_name`, where it is left out, is that of the expert's own tier among
    them. A `tier` that is set wins over what is known of the model's size. `tools` are the families that it is always
    offered, `critic` whether its answers are checked, `thinking` whether a plan is thought out before it answers: where
    they are left out, as its label says.
    """

    id: int
    label: str
    description: str = ""
    keywords: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    examples_file: str = ""
    aliases: tuple[str, ...] = ()
    type: Literal["ollama", "api", "local", "builtin", "echo"] = "ollama"
    model_name: str = ""
    models: dict[TierKey, str] = field(default_factory=dict)
    url: str = ""
    urls: tuple[str, ...] = ()
    provider: str = ""
    api_base: str = ""
    api_key_env: str = ""
    format: Literal["gguf", "onnx", "huggingface", ""] = ""
    model_path: str = ""
    system_prompt: str = ""
    system_prompt_mode: Literal["replace", "prepend"] = "replace"
    vision: bool = False
    tier: Tier | None = None
    options: dict[str, Any] = field(default_factory=dict)
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    keep_alive: KeepAlive | None = None
    first_token_timeout_s: Annotated[float, Meta(gt=0)] | None = None
    fallback: str = ""
    tools: tuple[str, ...] | None = None
    critic: bool | None = None
    thinking: bool | None = None
    routable: bool = True
    allow_cloud: bool = False

    def __post_init__(self) -> None:
        if self.models and not self.model_name:
            own, other = self.own_tier, TIERS[self.own_tier == 1]
            structs.force_setattr(self, "model_name", self._named(own) or self._named(other))

    @property
    def is_fallback(self) -> bool:
        return self.id == 0

    @property
    def families(self) -> tuple[str, ...]:
        return FAMILIES.get(self.label, ()) if self.tools is None else self.tools

    @property
    def is_checked(self) -> bool:
        return self.label in CHECKED if self.critic is None else self.critic

    @property
    def thinks_first(self) -> bool:
        return self.label in THINKING if self.thinking is None else self.thinking

    @property
    def own_tier(self) -> Tier:
        """The tier that it is of where it has to be of one."""
        return self.tier or 1

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """Those that the config gives it a model for; () where only the model's size can tell."""
        if self.models:
            return tuple(tier for tier in TIERS if self._named(tier))
        return () if self.tier is None else (self.tier,)

    def model_of(self, tier: Tier) -> str:
        """The model for `tier`, "auto" among it; where there is none, what it has instead."""
        return self._named(tier) or self.model_name

    def _named(self, tier: Tier) -> str:
        return self.models.get("1" if tier == 1 else "2", "")


class Example(Struct, frozen=True, gc=False):
    """A prompt that an expert should get; `source` says where it was found, "" where nobody said."""

    text: str
    source: str = ""
