"""A statute is imported while the server runs: its words answer at once, and never a model in their place."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import requests

from moe.store import Laws
from tests.fakes import fake_ollama
from tests.live import Live, live_server
from tests.statutes import BGB, fill

EXPERTS = ({"id": 0, "label": "fallback", "model_name": "gemma3:4b"},)
PROMPT = "Was steht in § 433 Abs. 2 BGB?"


def ask(live: Live, prompt: str) -> requests.Response:
    body: dict[str, Any] = {"model": "lemoe", "messages": [{"role": "user", "content": prompt}]}
    return requests.post(f"{live.url}/v1/chat/completions", json=body, timeout=20)


def test_a_look_up_is_answered_once_the_law_is_there(tmp_path: Path) -> None:
    with fake_ollama(["gemma3:4b"]) as ollama, \
            live_server(tmp_path, config={"expert_runner": {"ollama_url": ollama.url}}, experts=EXPERTS) as live, \
            closing(Laws(live.service.settings.data_folder / "laws.sqlite")) as store:
        assert ask(live, PROMPT).headers["X-MoE-Stage"] != "tool"
        asked = len(ollama.requests)
        fill(store, (BGB,))
        reply = ask(live, PROMPT)
        assert (reply.headers["X-MoE-Stage"], reply.headers["X-MoE-Tool"]) == ("tool", "legal_get_paragraph")
        said = reply.json()["choices"][0]["message"]["content"]
        assert said.splitlines()[0] == ("§ 433 Abs. 2 BGB, Vertragstypische Pflichten beim Kaufvertrag (abgerufen am "
                                        "29.03.2026)")
        assert "(2) Der Käufer ist verpflichtet, dem Verkäufer den vereinbarten Kaufpreis zu zahlen" in said
        assert "Quelle: https://www.gesetze-im-internet.de/bgb/__433.html" in said
        assert [request.path for request in ollama.requests[asked:] if "chat" in request.path] == []
        for prompt in ("Was steht in § 999 BGB?", "Was steht in § 242 StGB?", "Was bedeutet § 433 BGB für mich?"):
            assert ask(live, prompt).headers["X-MoE-Stage"] != "tool", prompt


def test_a_citation_in_a_question_is_handed_to_the_expert(tmp_path: Path) -> None:
    with fake_ollama(["gemma3:4b"]) as ollama, \
            live_server(tmp_path, config={"expert_runner": {"ollama_url": ollama.url}}, experts=EXPERTS) as live, \
            closing(Laws(live.service.settings.data_folder / "laws.sqlite")) as store:
        fill(store, (BGB,))
        ask(live, "Was bedeutet § 433 Abs. 2 BGB für meinen Vertrag?")
        *_, sent = [request for request in ollama.requests if request.path == "/api/chat"]
        assert "dem Verkäufer den vereinbarten Kaufpreis zu zahlen" in str(sent.json)
