"""A very small language model of the llama architecture, and how it learns to answer."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .chat import Sample, Teacher

Cache = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Shape:
    layers: int = 3
    width: int = 96
    heads: int = 4
    kv_heads: int = 2
    inner: int = 192
    context: int = 1024
    rope_base: float = 10000.0

    @property
    def head_width(self) -> int:
        return self.width // self.heads


class Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotates neighbouring pairs, as llama.cpp does for this architecture: nothing is permuted on export."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        kv_width = shape.kv_heads * shape.head_width
        self.attn_norm, self.ffn_norm = Norm(shape.width), Norm(shape.width)
        self.attn_q = nn.Linear(shape.width, shape.width, bias=False)
        self.attn_k = nn.Linear(shape.width, kv_width, bias=False)
        self.attn_v = nn.Linear(shape.width, kv_width, bias=False)
        self.attn_output = nn.Linear(shape.width, shape.width, bias=False)
        self.ffn_gate = nn.Linear(shape.width, shape.inner, bias=False)
        self.ffn_up = nn.Linear(shape.width, shape.inner, bias=False)
        self.ffn_down = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], bias: Tensor,
                past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        rows, length, _ = x.shape
        shape, h = self.shape, self.attn_norm(x)

        def split(y: Tensor, heads: int) -> Tensor:
            return y.view(rows, length, heads, shape.head_width).transpose(1, 2)

        q = rotate(split(self.attn_q(h), shape.heads), *turn)
        k = rotate(split(self.attn_k(h), shape.kv_heads), *turn)
        v = split(self.attn_v(h), shape.kv_heads)
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        share = shape.heads // shape.kv_heads
        weights = (q @ k.repeat_interleave(share, 1).transpose(-1, -2)) / math.sqrt(shape.head_width) + bias
        y = weights.softmax(-1) @ v.repeat_interleave(share, 1)
        x = x + self.attn_output(y.transpose(1, 2).reshape(rows, length, shape.width))
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h)), (k, v)


class Llama(nn.Module):
    def __init__(self, shape: Shape, vocabulary: int) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(vocabulary, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = Norm(shape.width)
        nn.init.normal_(self.token_embd.weight, std=0.02)
        half = torch.arange(0, shape.head_width, 2).float() / shape.head_width
        self.register_buffer("speeds", shape.rope_base ** -half, persistent=False)

    def forward(self, ids: Tensor, positions: Tensor, bias: Tensor, past: Cache | None = None) -> tuple[Tensor, Cache]:
        angles = positions[:, None, :, None].float() * self.speeds
        x, present = self.token_embd(ids), []
        for index, block in enumerate(self.blk):
            x, kept = block(x, (angles.cos(), angles.sin()), bias, past[index] if past else None)
            present.append(kept)
        return self.output_norm(x) @ self.token_embd.weight.t(), present


def train(teacher: Teacher, shape: Shape, *, steps: int, seed: int) -> Llama:
    """The weights end as float16 values, so that every file format can hold them as they are."""
    torch.manual_seed(seed)
    chance = random.Random(seed)
    model = Llama(shape, teacher.tokenizer.get_vocab_size())
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01)
    began, loss_mean = time.monotonic(), 5.0
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, step / 50) * max(0.05, 1 - step / steps)
        loss = learn(model, teacher.batch(chance))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss_mean = 0.97 * loss_mean + 0.03 * loss.item()
        if step % 100 == 0:
            print(f"  step {step}  loss {loss_mean:.4f}  {time.monotonic() - began:.0f} s", flush=True)
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(weights.half().float())
    print(f"  {sum(p.numel() for p in model.parameters())} parameters", flush=True)
    return model.eval()


def learn(model: Llama, samples: Sequence[Sample]) -> Tensor:
    width = max(len(ids) for ids, _ in samples)
    ids = torch.zeros(len(samples), width, dtype=torch.long)
    wanted = torch.full((len(samples), width), -100)
    for row, (tokens, targets) in enumerate(samples):
        ids[row, :len(tokens)] = torch.tensor(tokens)
        wanted[row, :len(targets)] = torch.tensor(targets)
    logits, _ = model(ids, torch.arange(width)[None], hide_future(width))
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), wanted[:, 1:].flatten())


def hide_future(width: int) -> Tensor:
    return torch.full((width, width), float("-inf")).triu(1)[None, None]


@torch.no_grad()
def answer(model: Llama, teacher: Teacher, prompt: str, *, most: int = 120) -> str:
    """The greedy answer, slowly: what the exported files are checked against."""
    ids = list(teacher.tokenizer.encode(prompt).ids)
    start = len(ids)
    for _ in range(most):
        logits, _ = model(torch.tensor([ids]), torch.arange(len(ids))[None], hide_future(len(ids)))
        token = int(logits[0, -1].argmax())
        if token == teacher.end:
            break
        ids.append(token)
    return str(teacher.tokenizer.decode(ids[start:]))
