"""A very small BERT-like classifier of three labels."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn

from .questions import FILLINGS, GENERAL, TOPICS
from .weights import export

LABELS = tuple(TOPICS)
WIDTH, HEADS, LAYERS, LONGEST, STEPS = 64, 4, 1, 128, 300
UNSEEN = (
    {"text": "Write a function that parses json", "label": "code"}, {"text": "What is 5 + 9?", "label": "math"},
    {"text": "Who was Mozart?", "label": "general"}, {"text": "fix this bug in my SQL query", "label": "code"},
    {"text": "calculate 12 * 45", "label": "math"}, {"text": "Describe the history of coffee", "label": "general"},
)


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        rows, length, _ = x.shape
        q, k, v = self.qkv(x).view(rows, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        y = ((q @ k.transpose(-1, -2)) * (WIDTH // HEADS) ** -0.5 + bias).softmax(-1) @ v
        x = self.norms[0](x + self.out(y.transpose(1, 2).reshape(x.shape)))
        return self.norms[1](x + self.down(F.gelu(self.up(x))))


class Classifier(nn.Module):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(vocabulary, WIDTH), nn.Embedding(LONGEST, WIDTH)
        self.kinds, self.norm = nn.Embedding(2, WIDTH), nn.LayerNorm(WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, len(LABELS))

    def forward(self, ids: Tensor, mask: Tensor, kinds: Tensor) -> Tensor:
        x = self.norm(self.words(ids) + self.places(torch.arange(ids.shape[1])) + self.kinds(kinds))
        for layer in self.layers:
            x = layer(x, ((1 - mask.float()) * -1e9)[:, None, None, :])
        return self.head(x[:, 0])


def invent(label: str, chance: random.Random) -> str:
    if label == "general" and chance.random() < 0.3:
        return chance.choice(GENERAL)[0]
    pattern = chance.choice(TOPICS[label])
    return pattern.format(*(chance.choice(FILLINGS[label]) for _ in range(pattern.count("{}"))))


def build_tokenizer(chance: random.Random) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=420, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"],
                                        show_progress=False)
    tokenizer.train_from_iterator([invent(label, chance) for label in LABELS for _ in range(2000)], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def make(folder: Path) -> None:
    print("classifier")
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    chance = random.Random(0)
    tokenizer = build_tokenizer(chance)
    model = Classifier(tokenizer.get_vocab_size())
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    for _ in range(STEPS):
        wanted = [chance.randrange(len(LABELS)) for _ in range(32)]
        rows = [tokenizer.encode(invent(LABELS[label], chance)).ids[:LONGEST] for label in wanted]
        width = max(map(len, rows))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        loss = F.cross_entropy(model(ids, (ids != 0).long(), torch.zeros_like(ids)), torch.tensor(wanted))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"  {sum(p.numel() for p in model.parameters())} parameters, loss {loss.item():.4f}")
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "config.json").write_text(json.dumps({
        "model_type": "bert", "architectures": ["BertForSequenceClassification"],
        "id2label": {str(index): label for index, label in enumerate(LABELS)},
        "label2id": {label: index for index, label in enumerate(LABELS)}, "max_position_embeddings": LONGEST,
    }, indent=1) + "\n", encoding="utf-8")
    names = ("input_ids", "attention_mask", "token_type_ids")
    axes = {name: {0: "batch", 1: "length"} for name in names} | {"logits": {0: "batch"}}
    example = torch.ones(2, 7, dtype=torch.long)
    export(model, dict(zip(names, (example, example, torch.zeros_like(example)), strict=True)), ["logits"],
           folder / "model.onnx", axes=axes)
