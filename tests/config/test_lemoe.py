"""LeMoE's own files load unchanged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from moe.config import read_config
from tests.config.files import problems_of

LEMOE = Path(__file__).parent / "lemoe" / "config"
LATER = {
    "model_router": {"enabled": False, "model_path": "models/router", "confidence_threshold": 0.5},
    "tool_calling": {"enabled": True, "expert_label": "tools", "max_iterations": 5},
    "updater": {"channel": "stable"},
    "image_router": {"allow_external_urls": False, "max_b64_bytes": 2097152, "reject_oversized_b64": True},
    "system_time": {"format": "%H:%M"},
    "user_profile": {"name": "", "preferences": "", "custom_instructions": ""},
    "routing_transparency": {"enabled": True, "show_score": True, "show_method": True, "separator": "-", "label": "by"},
    "pii_masker": {"enabled": True, "use_spacy": False, "mask_names": True, "force_enabled": False},
    "paperless": {"url": "http://localhost:8000"},
}


def test_the_documented_files_load_without_a_warning() -> None:
    config = read_config(LEMOE)
    assert config.warnings == ()
    labels = [expert.label for expert in config.experts]
    assert labels == ["fallback", "coder", "cloud", "local_math", "local_translate"]


def test_their_values_arrive() -> None:
    config = read_config(LEMOE)
    assert (config.router.softmax_temperature, config.router.keyword_threshold) == (0.2, 0.2)
    assert config.router.model_path == "models/all-MiniLM-L6-v2"
    assert (config.ai_engine.n_threads, config.ai_engine.n_ctx, config.ai_engine.n_batch) == (4, 2048, 512)
    assert (config.expert_runner.api_timeout, config.expert_runner.ollama_timeout) == (60, 60)
    assert config.expert_runner.ollama_allowed_hosts == ("localhost", "127.0.0.1", "gpu-box.example.org")
    cloud = config.expert("cloud")
    assert cloud is not None
    assert (cloud.type, cloud.provider, cloud.api_key_env) == ("api", "openai", "OPENAI_API_KEY")
    math = config.expert("local_math")
    assert math is not None
    assert (math.type, math.format, math.model_path) == ("local", "gguf", "models/math.gguf")


def test_its_later_keys_are_accepted_with_one_warning_each(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    told = json.loads((folder / "config.json").read_text()) | LATER
    (folder / "config.json").write_text(json.dumps(told, indent=1))
    experts = json.loads((folder / "experts.json").read_text())
    experts["experts"][1]["regex_triggers"] = ["(?i)traceback"]
    (folder / "experts.json").write_text(json.dumps(experts, indent=1))
    warnings = read_config(folder).warnings
    assert len(warnings) == len(LATER) + 1
    lines = (folder / "config.json").read_text().splitlines()
    for key in LATER:
        (warning,) = (each for each in warnings if f'"{key}" belongs to LeMoE' in each)
        line = next(number for number, text in enumerate(lines, start=1) if f'"{key}"' in text)
        assert warning.startswith(f"{folder}/config.json:{line}: at $.{key}: ")
    assert warnings[-1].endswith('(expert "coder"): "regex_triggers" belongs to LeMoE and has no effect here')


def test_a_later_key_in_a_wrong_place_is_refused(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    told = json.loads((folder / "config.json").read_text())
    told["router"]["tool_calling"] = {}
    (folder / "config.json").write_text(json.dumps(told, indent=1))
    (problem,) = problems_of(folder)
    assert 'at $.router.tool_calling: unknown field "tool_calling"' in problem


def _copy(parent: Path) -> Path:
    return Path(shutil.copytree(LEMOE, parent / "config"))
