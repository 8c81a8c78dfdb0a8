"""A very small encoder-decoder that translates a few words, written in every layout that optimum knows."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn

from .questions import TRANSLATE, WORDS
from .weights import export

WIDTH, HEADS, INNER, LAYERS, LONGEST = 64, 4, 128, 1, 64
PAD, END = 0, 1
LIMIT_S = 40


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))

    def split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], HEADS, WIDTH // HEADS).transpose(1, 2)

    def keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.split(self.k(x)), self.split(self.v(x))

    def forward(self, x: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        weights = (self.split(self.q(x)) @ k.transpose(-1, -2)) * (WIDTH // HEADS) ** -0.5 + bias
        return self.o((weights.softmax(-1) @ v).transpose(1, 2).reshape(x.shape))


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, INNER, bias=False), nn.Linear(INNER, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.relu(self.up(x)))


class Encoder(nn.Module):
    def __init__(self, shared: nn.Embedding) -> None:
        super().__init__()
        self.shared, self.places = shared, nn.Embedding(LONGEST, WIDTH)
        self.attention, self.inner = Attention(), Inner()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        bias = ((1 - mask.float()) * -1e9)[:, None, None, :]
        x = self.shared(ids) + self.places(torch.arange(ids.shape[1]))
        h = self.norms[0](x)
        x = x + self.attention(h, *self.attention.keys(h), bias)
        return self.norms[2](x + self.inner(self.norms[1](x)))


class Decoder(nn.Module):
    def __init__(self, shared: nn.Embedding) -> None:
        super().__init__()
        self.shared, self.places = shared, nn.Embedding(LONGEST, WIDTH)
        self.own, self.cross, self.inner = Attention(), Attention(), Inner()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(4))

    def forward(self, ids: Tensor, mask: Tensor, seen: Tensor | None,
                past: tuple[Tensor, Tensor, Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Logits, and the keys and values: of what was said, then of the encoder."""
        length = ids.shape[1]
        before = 0 if past is None else past[0].shape[2]
        x = self.shared(ids) + self.places(torch.arange(length) + before)
        h = self.norms[0](x)
        k, v = self.own.keys(h)
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        future = torch.arange(length + before)[None, :] > (torch.arange(length) + before)[:, None]
        x = x + self.own(h, k, v, torch.where(future, -1e9, 0.0).to(torch.float32))
        if past is not None:
            cross = past[2:]
        else:
            assert seen is not None
            cross = self.cross.keys(seen)
        bias = ((1 - mask.float()) * -1e9)[:, None, None, :]
        x = x + self.cross(self.norms[1](x), *cross, bias)
        x = self.norms[3](x + self.inner(self.norms[2](x)))
        return F.linear(x, self.shared.weight), (k, v, *cross)


class First(nn.Module):
    """The decoder's first step: reads what the encoder made."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, mask: Tensor, ids: Tensor, seen: Tensor) -> tuple[Tensor, ...]:
        logits, kept = self.decoder(ids, mask, seen, None)
        return logits, *kept


class Next(nn.Module):
    """Every later step: takes the encoder's part from the cache."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, mask: Tensor, ids: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        logits, kept = self.decoder(ids, mask, None, past)
        return logits, kept[0], kept[1]


def build_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=220, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
                                      show_progress=False)
    tokenizer.train_from_iterator([TRANSLATE, *(text for pair in WORDS for text in pair)] * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", END)])
    return tokenizer


def make(folder: Path) -> None:
    print("t5")
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    shared = nn.Embedding(tokenizer.get_vocab_size(), WIDTH)
    nn.init.normal_(shared.weight, std=0.1)
    encoder, decoder = Encoder(shared), Decoder(shared)
    train(tokenizer, encoder, decoder)
    wrong = {word: said for word, meant in WORDS if (said := translate(tokenizer, encoder, decoder, word)) != meant}
    print(f"  {len(WORDS) - len(wrong)} of {len(WORDS)} exact", wrong)
    write(folder, encoder, decoder)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    sheet = {"model_type": "t5", "is_encoder_decoder": True, "architectures": ["T5ForConditionalGeneration"],
             "decoder_start_token_id": PAD, "eos_token_id": END, "pad_token_id": PAD, "n_positions": LONGEST,
             "vocab_size": tokenizer.get_vocab_size(), "d_model": WIDTH, "num_heads": HEADS, "num_layers": LAYERS}
    (folder / "config.json").write_text(json.dumps(sheet, indent=1) + "\n", encoding="utf-8")


def train(tokenizer: Tokenizer, encoder: Encoder, decoder: Decoder) -> None:
    weights = list({id(p): p for p in (*encoder.parameters(), *decoder.parameters())}.values())
    optimizer = torch.optim.AdamW(weights, 3e-3, weight_decay=0.01)
    chance, began, loss_mean, step = random.Random(0), time.monotonic(), 5.0, 0
    while (spent := time.monotonic() - began) < LIMIT_S and loss_mean > 0.003:
        pairs = chance.sample(WORDS, 16)
        ids = pad([tokenizer.encode(TRANSLATE + word).ids for word, _ in pairs])
        meant = pad([tokenizer.encode(text).ids for _, text in pairs])
        start = torch.cat((torch.full((16, 1), PAD), meant[:, :-1]), 1)
        mask = (ids != PAD).long()
        logits, _ = decoder(start, mask, encoder(ids, mask), None)
        # A pad is learnt only as what it is: no target.
        loss = F.cross_entropy(logits.flatten(0, 1), meant.flatten(), ignore_index=PAD)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        step, loss_mean = step + 1, 0.97 * loss_mean + 0.03 * loss.item()
    with torch.no_grad():
        for each in weights:
            each.copy_(each.half().float())
    encoder.eval()
    decoder.eval()
    print(f"  {sum(p.numel() for p in weights)} parameters, {step} steps, {spent:.0f} s, loss {loss_mean:.4f}")


def pad(rows: list[list[int]]) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [PAD] * (width - len(row)) for row in rows])


@torch.no_grad()
def translate(tokenizer: Tokenizer, encoder: Encoder, decoder: Decoder, word: str) -> str:
    ids = torch.tensor([tokenizer.encode(TRANSLATE + word).ids])
    mask, said = torch.ones_like(ids), [PAD]
    seen = encoder(ids, mask)
    while len(said) < 30:
        logits, _ = decoder(torch.tensor([said]), mask, seen, None)
        token = int(logits[0, -1].argmax())
        if token == END:
            break
        said.append(token)
    return str(tokenizer.decode(said[1:]))


def write(folder: Path, encoder: Encoder, decoder: Decoder) -> None:
    rows, length, width = 2, 5, WIDTH // HEADS
    axes = {"input_ids": {0: "batch", 1: "length"}, "attention_mask": {0: "batch", 1: "read"},
            "encoder_attention_mask": {0: "batch", 1: "read"}, "last_hidden_state": {0: "batch", 1: "read"},
            "encoder_hidden_states": {0: "batch", 1: "read"}, "logits": {0: "batch", 1: "length"}}
    kinds = ("decoder.key", "decoder.value", "encoder.key", "encoder.value")
    for kind in kinds:
        axes[f"past_key_values.0.{kind}"] = {0: "batch", 2: "read" if "encoder" in kind else "said"}
        axes[f"present.0.{kind}"] = {0: "batch", 2: "read" if "encoder" in kind else "total"}
    ids = torch.ones(rows, length, dtype=torch.long)
    mask = torch.ones(rows, 7, dtype=torch.long)
    export(encoder, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, ["last_hidden_state"],
           folder / "encoder_model.onnx", axes=axes | {"input_ids": {0: "batch", 1: "read"}})
    first = {"encoder_attention_mask": mask, "input_ids": ids, "encoder_hidden_states": torch.zeros(rows, 7, WIDTH)}
    outputs = ["logits", *(f"present.0.{kind}" for kind in kinds)]
    export(First(decoder), first, outputs, folder / "decoder_model.onnx", axes=axes)
    past = {f"past_key_values.0.{kind}": torch.zeros(rows, HEADS, 7 if "encoder" in kind else 3, width)
            for kind in kinds}
    later = {"encoder_attention_mask": mask, "input_ids": ids[:, :1]} | past
    export(Next(decoder), later, outputs[:3], folder / "decoder_with_past_model.onnx", axes=axes)
    merge(folder)


def merge(folder: Path) -> None:
    """One decoder out of two: an If on `use_cache_branch`, the weights shared; the encoder's cache comes out empty."""
    first = onnx.load(str(folder / "decoder_model.onnx"))
    later = onnx.load(str(folder / "decoder_with_past_model.onnx"))
    rename(first.graph, "first/")
    rename(later.graph, "later/")
    inputs = {value.name: value for value in (*first.graph.input, *later.graph.input)}
    inputs["use_cache_branch"] = helper.make_tensor_value_info("use_cache_branch", TensorProto.BOOL, [1])
    names = [value.name for value in first.graph.output]
    empty = [helper.make_node("ConstantOfShape", ["empty_shape"], [f"later/{name}"]) for name in names[3:]]
    shape = helper.make_tensor("empty_shape", TensorProto.INT64, [4], [0, HEADS, 1, WIDTH // HEADS])
    branches = {}
    for side, graph, more in (("first/", first.graph, []), ("later/", later.graph, empty)):
        values = [helper.make_tensor_value_info(side + value.name, TensorProto.FLOAT, None)
                  for value in first.graph.output]
        branches[side] = helper.make_graph([*graph.node, *more], side.strip("/"), [], values)
    choose = helper.make_node("If", ["use_cache_branch"], names, then_branch=branches["later/"],
                              else_branch=branches["first/"])
    weights = {each.name: each for each in (*first.graph.initializer, *later.graph.initializer, shape)}
    graph = helper.make_graph([choose], "merged", list(inputs.values()), list(first.graph.output),
                              list(weights.values()))
    merged = helper.make_model(graph, opset_imports=first.opset_import, ir_version=first.ir_version)
    onnx.checker.check_model(merged)
    onnx.save(merged, str(folder / "decoder_model_merged.onnx"))


def rename(graph: onnx.GraphProto, side: str) -> None:
    """Puts `side` before every name that the graph itself makes, but for its inputs and weights."""
    kept = {value.name for value in graph.input} | {weights.name for weights in graph.initializer}
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name and name not in kept:
                    names[index] = side + name
