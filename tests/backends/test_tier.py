"""A model's tier: by its parameters wherever they are told, by its name in the end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe.backends.inventory import UpstreamModel
from moe.backends.tier import find_size, find_tier, read_name, read_told, tier_of

GB = 10**9


def model(name: str = "x:latest", *, count: Any = None, **fields: Any) -> UpstreamModel:
    page = {} if count is None else {"model_info": {"general.parameter_count": count}}
    return UpstreamModel(name=name, page=page, **fields)


@pytest.mark.parametrize(("told", "billions"), [
    ("14.7B", 14.7), ("8.0B", 8), ("134.52M", 0.13452), ("7b", 7), ("70 B", 70), ("1.04T", 1040), ("14770033664",
     14.77),
    ("8x7B", 45.2), ("8x22B", 142.1), ("e4b", 4), (" 27.4B ", 27.4),
    ("", None), ("large", None), ("B", None), ("12", None), ("unknown", None), ("7B-ish", None), ("²B", None),
])
def test_what_a_server_says_is_read(told: str, billions: float | None) -> None:
    assert read_told(told) == (billions if billions is None else pytest.approx(billions, rel=0.01))


@pytest.mark.parametrize(("name", "billions"), [
    ("phi4:14b", 14), ("qwen3:30b-a3b", 30), ("Qwen3-235B-A22B-Instruct", 235), ("mixtral:8x7b", 45.2),
    ("Mixtral-8x22B-v0.1", 142.1), ("gemma3n:e4b", 4), ("llama4:16x17b", 215.9),
    ("Llama-4-Scout-17B-16E-Instruct", 215.9), ("command-r7b", 7), ("qwen2.5-coder:0.5b", 0.5),
    ("smollm:135m", 0.135), ("all-minilm:22m", 0.022), ("kimi-k2:1t", 1000),
    ("hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M", 3), ("Qwen2.5-7B-Instruct-1M", 7),
    ("yi:6b-200k", 6), ("phi4:14b-q8_0", 14), ("mistral-7b-instruct-v0.3.Q4_K_M", 7), ("70b-team/phi:3b", 3),
    ("DeepSeek-R1-Distill-Qwen-32B", 32), ("gpt-oss:120b-cloud", 120), ("falcon:180B", 180), ("tinyllama_1.1B_chat",
     1.1),
    ("deepseek-coder-v2:16b-lite-instruct-q4_K_M", 16), ("ibm/granite-3.3-8b", 8),
    ("gpt-4o", None), ("phi4", None), ("phi4:latest", None), ("claude-3-5-sonnet", None), ("", None), ("7", None),
    ("qwen2.5-1m", None), ("bge-m3", None), ("nomic-embed-text:v1.5", None), ("some-a3b", None), ("a3b", None),
    ("model-4bit", None), ("o1", None), (":", None), ("model:a22b", None), ("web3bot", None), ("v2.1beta", None),
])
def test_a_name_tells_the_size_or_nothing(name: str, billions: float | None) -> None:
    assert read_name(name) == (billions if billions is None else pytest.approx(billions, rel=0.01))


@pytest.mark.parametrize(("known", "billions"), [
    (model("mixtral:8x7b", count=46_702_792_704, parameter_size="8x7B"), 46.7),
    (model("liar:70b", count=3_212_749_888, parameter_size="70B", size=2 * GB, quantization="Q4_K_M"), 3.21),
    (model("liar:70b", parameter_size="14.7B", size=2 * GB, quantization="Q4_K_M"), 14.7),
    (model("liar:70b", size=2_019_377_376, quantization="Q4_K_M"), 3.33),
    (model("x", size=16_068_894_592, quantization="F16"), 8.03), (model("x", size=8_540_775_808, quantization="Q8_0"),
     8.04),
    (model("x", size=4_661_211_808, quantization="Q4_0"), 8.1), (model("x", size=42_520_398_432,
     quantization="q4_k_m"), 70.1),
    (model("x", size=13_780_173_600, quantization="MXFP4"), 25.6), (model("x", size=7 * GB, quantization="Q7_X"), 7.37),
    (model("named:13b", size=40 * GB, quantization="unheard of"), 13),
    (model("named:13b", size=40 * GB), 13), (model("x", size=4_850_000_000), 8),
    (model("gpt-oss:120b-cloud", size=384, quantization="MXFP4", is_remote=True), 120),
    (model("cloud", size=384, is_remote=True), None), (model("x"), None), (model("named:13b", parameter_size="?"), 13),
])
def test_the_surest_of_what_is_known_counts(known: UpstreamModel, billions: float | None) -> None:
    assert find_size(known) == (billions if billions is None else pytest.approx(billions, rel=0.02))


@pytest.mark.parametrize("count", [True, "46702792704", None, [], {}, 0, -5, float("nan"), float("inf")])
def test_a_count_that_is_none_is_passed_over(count: Any) -> None:
    assert find_size(model("x:7b", count=count, parameter_size="7.2B")) == 7.2
    assert find_size(UpstreamModel(name="x", page={"model_info": count}, parameter_size="7.2B")) == 7.2


@pytest.mark.parametrize(("billions", "tier"), [(0.1, 1), (20.0, 1), (20.01, 2), (46.7, 2)])
def test_up_to_twenty_billion_is_the_first_tier(billions: float, tier: int) -> None:
    assert tier_of(billions) == tier


def test_the_config_wins_and_nothing_known_is_no_tier() -> None:
    large = model("x:70b", parameter_size="70B")
    assert find_tier(large) == 2
    assert find_tier(large, configured=1) == 1
    assert find_tier(None, name="gpt-4o") is None
    assert find_tier(None, name="gpt-4o", configured=2) == 2
    assert find_tier(None, name="qwen3:30b-a3b") == 2
    assert find_tier(model("x")) is None


@given(text=st.text(alphabet=st.sampled_from("0123456789.xabemtBMT-_:/ v"), max_size=40) | st.text(max_size=40))
def test_any_name_gives_a_size_or_none(text: str) -> None:
    for size in (read_name(text), read_told(text)):
        assert size is None or 0 <= size < 10**9
