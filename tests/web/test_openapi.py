"""The description of the server against the server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask

from app import create_app
from moe.config import Settings
from moe.dialects.bodies import pages
from moe.service import Service
from moe.web.openapi import OWN_PAGES, describe
from tests.live import live_server, write_config

BODIES = [name for name, page in pages().items() if page.body is not None]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    folder = tmp_path_factory.mktemp("openapi")
    write_config(folder)
    return create_app(Service(Settings(config_folder=folder / "config", data_folder=folder, models_folder=folder,
                                       logs_folder=folder)))


@pytest.fixture(scope="module")
def told(app: Flask) -> dict[str, Any]:
    return describe(app)


def resolve(told: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "allOf" in schema:
        schema = schema["allOf"][0]
    found = told["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert isinstance(found, dict)
    return found


def test_it_is_served(tmp_path: Path) -> None:
    with live_server(tmp_path) as server:
        reply = requests.get(f"{server.url}/openapi.json", timeout=10)
    assert (reply.status_code, reply.json()["openapi"]) == (200, "3.1.0")


def test_it_has_every_route_and_no_other(app: Flask, told: dict[str, Any]) -> None:
    served: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        served.setdefault(path, set()).update((rule.methods or set()) - {"OPTIONS"})
    for methods in served.values():
        if "GET" in methods:
            methods.discard("HEAD")
    assert {path: {method.upper() for method in methods} for path, methods in told["paths"].items()} == served


def test_every_route_is_described_in_words_of_its_own(told: dict[str, Any]) -> None:
    routes = {f"{method.upper()} {path}" for path, methods in told["paths"].items() for method in methods}
    assert routes - {*pages(), *OWN_PAGES} == set()


def test_every_reference_leads_to_a_schema(told: dict[str, Any]) -> None:
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(told)))
    assert named <= set(told["components"]["schemas"])
    assert not any(name.startswith("_") or "moe." in name for name in told["components"]["schemas"])


@pytest.mark.parametrize("name", BODIES)
def test_a_body_has_the_fields_that_must_be_in_it(told: dict[str, Any], name: str) -> None:
    method, path = name.split(" ")
    if path not in told["paths"]:
        pytest.fail(f"{path} is described, but not served")
    schema = told["paths"][path][method.lower()]["requestBody"]["content"]["application/json"]["schema"]
    assert set(pages()[name].required) <= set(resolve(told, schema)["properties"])


def test_the_path_s_names_are_parameters(told: dict[str, Any]) -> None:
    model = told["paths"]["/v1/models/{name}"]["get"]
    assert [(each["name"], each["in"], each["required"]) for each in model["parameters"]] == [("name", "path", True)]


def test_errors_are_told_in_the_dialect_of_the_path(told: dict[str, Any]) -> None:
    def error_of(path: str) -> str:
        content = told["paths"][path]["post"]["responses"]["4XX"]["content"]
        return str(content["application/json"]["schema"]["$ref"]).rpartition("/")[2]

    assert [error_of(path) for path in ("/api/chat", "/v1/messages", "/v1/chat/completions")] == [
        "OllamaError", "AnthropicError", "OpenAIError"]
