from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moe.config import read_config
from moe.config.rules import TOOL_FAMILIES
from moe.experts import FAMILIES
from moe.tools.known import TOOLS
from tests.config.files import FALLBACK, expert, problems_of, warnings_of, write_folder


def test_one_expert_must_have_id_0(tmp_path: Path) -> None:
    assert problems_of(write_folder(tmp_path, experts=[expert(1, "math")])) == (
        "experts.json:2: at $.experts: no expert has id 0: one must be the fallback",
    )


def test_a_file_without_experts_is_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(write_folder(tmp_path, experts="{}"))
    assert problem == "experts.json:1: at $.experts: no expert has id 0: one must be the fallback"


def test_the_fallback_must_have_no_keywords(tmp_path: Path) -> None:
    (problem,) = problems_of(write_folder(tmp_path, experts=[{**FALLBACK, "keywords": ["x"]}]))
    assert problem == (
        'experts.json:7: at $.experts[0].keywords (expert "fallback"): the fallback (id 0) must have no keywords'
    )


def test_more_experts_than_max_experts_are_refused(tmp_path: Path) -> None:
    many = [FALLBACK, *(expert(i, f"e{i}") for i in range(1, 17))]
    (problem,) = problems_of(write_folder(tmp_path, experts=many))
    assert problem.endswith("at $.experts: 17 experts, more than max_experts (16)")
    assert len(read_config(write_folder(tmp_path, experts=many, max_experts=17)).experts) == 17


@pytest.mark.parametrize(
    "label",
    ["a/b", "a\\b", "..", "a..b", "../../etc/passwd", "", "  ", "a\nb", "a\x00b", "a\x7f", "\u202ea", "\ud83d",
     "\u200b", "x:latest"],
)
@pytest.mark.parametrize("field", ["label", "alias"])
def test_a_name_that_could_not_be_shown_or_asked_for_is_refused(tmp_path: Path, label: str, field: str) -> None:
    one = expert(1, label) if field == "label" else expert(1, "math", aliases=["fine", label])
    folder = write_folder(tmp_path, experts=[FALLBACK, one])
    (problem,) = problems_of(folder)
    assert "must be a visible name" in problem
    assert ("$.experts[1].label" if field == "label" else "$.experts[1].aliases[1]") in problem


@pytest.mark.parametrize("label", ["math", "Código", "翻訳", "code reviewer", "gpt-4o", "phi4:14b", "c++", "a.b"])
def test_names_of_every_language_are_welcome(tmp_path: Path, label: str) -> None:
    assert read_config(write_folder(tmp_path, experts=[FALLBACK, expert(1, label)])).expert(label) is not None


@pytest.mark.parametrize("label", ["lemoe", "MoE", " auto "])
def test_the_routers_own_names_are_taken(tmp_path: Path, label: str) -> None:
    (problem,) = problems_of(write_folder(tmp_path, experts=[FALLBACK, expert(1, label)]))
    assert "is the name of the router itself" in problem


def test_labels_and_aliases_are_one_set_of_names_in_any_case(tmp_path: Path) -> None:
    told = problems_of(write_folder(tmp_path, experts=[
        FALLBACK, expert(1, "math", aliases=["numbers"]), expert(2, "Math"), expert(3, "third", aliases=["NUMBERS"]),
    ]))
    assert [problem.split(": ", 1)[1] for problem in told] == [
        'at $.experts[2].label (expert "Math"): "Math" is already a name of "math"',
        'at $.experts[3].aliases[0] (expert "third"): "NUMBERS" is already a name of "math"',
    ]


def test_an_id_stands_once_and_is_not_negative(tmp_path: Path) -> None:
    told = problems_of(write_folder(tmp_path, experts=[FALLBACK, expert(3, "a"), expert(3, "b"), expert(-1, "c")]))
    assert [problem.split("): ")[1] for problem in told] == [
        "the id 3 stands twice", "must be 0 (the fallback) or more",
    ]


def test_a_fallback_must_be_a_label_that_is_there(tmp_path: Path) -> None:
    (problem,) = problems_of(write_folder(tmp_path, experts=[FALLBACK, expert(1, "math", fallback="nobody")]))
    assert problem.endswith('at $.experts[1].fallback (expert "math"): no expert is labelled "nobody"')


def test_an_entry_that_cannot_be_read_hides_nothing_of_the_others(tmp_path: Path) -> None:
    nameless = {"label": "math"}
    told = problems_of(write_folder(tmp_path, experts=[nameless, expert(1, "code", fallback="nobody")]))
    assert [problem.partition(": at ")[2] for problem in told] == [
        '$.experts[0] (expert "math"): "id" is missing',
        "$.experts: no expert has id 0: one must be the fallback",
        '$.experts[1].fallback (expert "code"): no expert is labelled "nobody"',
    ]


@pytest.mark.parametrize("unreadable", [{"id": 0}, {"id": "0", "label": 5}])
def test_what_an_entry_that_cannot_be_read_may_be_is_not_missed(tmp_path: Path, unreadable: Any) -> None:
    told = problems_of(write_folder(tmp_path, experts=[unreadable, expert(1, "code", fallback="perhaps")]))
    assert all("$.experts[0]" in problem for problem in told)


def test_a_label_counts_even_where_the_rest_cannot_be_read(tmp_path: Path) -> None:
    (problem,) = problems_of(write_folder(tmp_path, experts=[
        FALLBACK, {"label": "math"}, expert(1, "code", fallback="math")]))
    assert '"id" is missing' in problem


def test_families_of_tools_are_those_that_the_tools_are_of(tmp_path: Path) -> None:
    (problem,) = problems_of(write_folder(tmp_path, experts=[FALLBACK, expert(1, "math", tools=["law", "sums"])]))
    assert problem.partition(": at ")[2] == (
        '$.experts[1].tools[1] (expert "math"): "sums" is no family of tools: those are '
        "arithmetic, algebra, dates, measures, texts, networks, law")
    assert {tool.family for tool in TOOLS} == set(TOOL_FAMILIES)
    assert {family for families in FAMILIES.values() for family in families} <= set(TOOL_FAMILIES)


@pytest.mark.parametrize("key", ["planner", "judge"])
def test_who_plans_and_who_judges_must_be_there(tmp_path: Path, key: str) -> None:
    config = json.dumps({"pipeline": {key: "nobody"}})
    (problem,) = problems_of(write_folder(tmp_path, config=config, experts=[FALLBACK, expert(1, "math")]))
    assert problem == f'config.json:1: at $.pipeline.{key}: no expert is labelled "nobody"'
    assert all("labelled" not in told for told in problems_of(write_folder(
        tmp_path, config=config, experts=[FALLBACK, {"id": 1}])))  # that one may be meant
    config = json.dumps({"pipeline": {key: "math"}})
    assert read_config(write_folder(tmp_path, config=config, experts=[FALLBACK, expert(1, "math")])).pipeline


def test_few_keywords_are_a_warning_and_none_for_who_is_not_routed(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, experts=[
        FALLBACK, expert(1, "few", keywords=["a", "b"]), expert(2, "hidden", keywords=[], routable=False),
    ])
    (warning,) = warnings_of(folder)
    assert warning.endswith('at $.experts[1].keywords (expert "few"): 2 keywords; 15 or more route better')


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"type": "local"}, '"model_path"'),
        ({"type": "api", "model_name": ""}, '"model_name"'),
        ({"api_key_env": "sk-123"}, "NAME of an environment variable"),
        ({"first_token_timeout_s": 0}, ".first_token_timeout_s"),
        ({"max_tokens": 0}, ".max_tokens"),
        ({"max_tokens": -4}, ".max_tokens"),
        ({"type": "lambda"}, 'must be "ollama" or "api"'),
        ({"system_prompt_mode": "append"}, 'must be "replace" or "prepend"'),
        ({"tier": 0}, "must be 1 or 2"),
        ({"options": [1]}, "expected object, got array"),
        ({"keep_alive": True}, "got bool"),
    ],
)
def test_what_a_type_of_expert_needs(tmp_path: Path, more: dict[str, Any], told: str) -> None:
    (problem,) = problems_of(write_folder(tmp_path, experts=[FALLBACK, expert(1, "math", **more)]))
    assert told in problem
    assert '(expert "math")' in problem


WRONG_OPTIONS = [
    ("temperature", "hot", "float32"), ("top_p", True, "float32"), ("typical_p", [], "float32"),
    ("top_k", 1.5, "integer"), ("num_predict", 50.0, "integer"), ("repeat_last_n", "64", "integer"),
    ("num_ctx", "8192", "integer"), ("use_mmap", 1, "boolean"), ("stop", 5, "array of strings"),
    ("stop", [5], "array of strings"),
]


@pytest.mark.parametrize(("name", "value", "kind"), WRONG_OPTIONS)
def test_an_option_of_a_wrong_type_is_refused_at_its_line(tmp_path: Path, name: str, value: Any, kind: str) -> None:
    folder = write_folder(tmp_path, experts=[FALLBACK, expert(1, "math", options={name: value})])
    lines = (folder / "experts.json").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if f'"{name}":' in text)
    assert problems_of(folder) == (
        f'experts.json:{line}: at $.experts[1].options.{name} (expert "math"): must be of type {kind}',
    )


def test_every_wrong_option_is_told_at_once(tmp_path: Path) -> None:
    more = {"options": {"temperature": "hot", "stop": 5}, "max_tokens": -4, "keep_alive": "banana"}
    assert len(problems_of(write_folder(tmp_path, experts=[FALLBACK, expert(1, "math", **more)]))) == 4


def test_right_options_and_those_of_the_engine_alone_pass(tmp_path: Path) -> None:
    options = {"temperature": 1, "top_k": 5, "stop": "END", "seed": None, "mirostat": 2, "anything": ["x"],
               "num_predict": -1, "use_mmap": False}
    config = read_config(write_folder(tmp_path, experts=[FALLBACK, expert(1, "math", options=options)]))
    assert config.experts[1].options == options


@pytest.mark.parametrize("keep_alive", ["banana", "", "5", "5m", "5 m", "1h30", "m", "--1", 0, -1, 2.5, "-1", "1h30m"])
def test_keep_alive_is_a_number_or_a_duration(tmp_path: Path, keep_alive: Any) -> None:
    folder = write_folder(tmp_path, experts=[FALLBACK, expert(1, "math", keep_alive=keep_alive)])
    if keep_alive in ("banana", "", "5 m", "1h30", "m", "--1"):
        (problem,) = problems_of(folder)
        assert 'at $.experts[1].keep_alive (expert "math"): must be a number of seconds or a duration' in problem
    else:
        assert read_config(folder).experts[1].keep_alive == keep_alive


def test_an_ollama_expert_without_a_model_is_a_warning(tmp_path: Path) -> None:
    (warning,) = warnings_of(write_folder(tmp_path, experts=[FALLBACK, expert(1, "math", model_name="")]))
    assert 'no "model_name"' in warning


NOT_A_URL = ["host:11434", "http://", ""]
REFUSED = [
    "ftp://host", "http://169.254.169.254", "http://[::ffff:169.254.169.254]", "http://[fe80::1]",
    "http://2852039166", "http://0xa9fea9fe", "http://metadata.google.internal", "http://user@host", "http://host?x=1",
    "http://100.100.100.200", "file:///etc/passwd", "http://host:99999",
]


@pytest.mark.parametrize("url", REFUSED + NOT_A_URL)
def test_an_upstream_that_must_not_be_asked_is_refused_at_its_place(tmp_path: Path, url: str) -> None:
    experts = [FALLBACK, expert(1, "math", urls=["http://127.0.0.1:11434", url])]
    (problem,) = problems_of(write_folder(tmp_path, experts=experts))
    assert 'at $.experts[1].urls[1] (expert "math"):' in problem


@pytest.mark.parametrize("field", ["url", "api_base"])
@pytest.mark.parametrize("url", REFUSED)
def test_the_same_holds_for_a_single_address(tmp_path: Path, url: str, field: str) -> None:
    (problem,) = problems_of(write_folder(tmp_path, experts=[FALLBACK, expert(1, "math", **{field: url})]))
    assert f'at $.experts[1].{field} (expert "math"):' in problem


@pytest.mark.parametrize("url", REFUSED)
def test_and_for_the_ollama_of_all_experts(tmp_path: Path, url: str) -> None:
    (problem,) = problems_of(write_folder(tmp_path, config={"expert_runner": {"ollama_url": url}}))
    assert problem.startswith("config.json:3: at $.expert_runner.ollama_url: ")


@pytest.mark.parametrize("url", ["gpu-box", "gpu-box:11434", ":11434", "https://gpu-box/ollama", "0.0.0.0", "[::1]"])
def test_the_ollama_url_takes_every_form_of_ollama_host(tmp_path: Path, url: str) -> None:
    config = read_config(write_folder(tmp_path, config={"expert_runner": {"ollama_url": url}}))
    assert config.expert_runner.ollama_url == url


@pytest.mark.parametrize(("section", "key"), [("server", "trusted_proxies"), ("rate_limit", "exempt")])
def test_a_network_that_is_none_is_refused_at_its_place(tmp_path: Path, section: str, key: str) -> None:
    folder = write_folder(tmp_path, config={section: {key: ["10.0.0.0/8", "10.0.0.1", "::1", "10.0.0.0/99", "nginx"]}})
    told = problems_of(folder)
    assert [problem.split(": ")[1] for problem in told] == [f"at $.{section}.{key}[3]", f"at $.{section}.{key}[4]"]


HOSTS = ["*", "moe", "moe.example.org", "Moe.Example.org.", "*.example.org", "xn--mnchen-3ya.example", "my_box.lan",
         "203.0.113.7", "2001:db8::7", "[2001:db8::7]"]  # fmt: skip
NO_HOSTS = ["", " ", "https://moe.example.org", "moe.example.org:443", "[2001:db8::7]:443", "moe.example.org/", "**",
            "*.", "*.*.example", "moe.*", "a.*.example", "*example.org", ".example.org", "a..b", "münchen.example",
            "a b", "a,b", "user@moe", "moe\n", "10.0.0.0/8"]  # fmt: skip


def test_a_host_is_a_name_an_address_or_a_star_before_a_name(tmp_path: Path) -> None:
    config = read_config(write_folder(tmp_path, config={"server": {"hosts": HOSTS}}))
    assert config.server.hosts == tuple(HOSTS)


@pytest.mark.parametrize("host", NO_HOSTS)
def test_what_no_host_header_could_name_is_refused_at_its_place(tmp_path: Path, host: str) -> None:
    (problem,) = problems_of(write_folder(tmp_path, config={"server": {"hosts": ["moe", host]}}))
    assert "at $.server.hosts[1]: " in problem and "is no host" in problem


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("server", {"host": ""}), ("server", {"hosts": "moe.example.org"}), ("server", {"port": 65536}),
        ("server", {"port": -1}), ("server", {"threads": 3}),
        ("server", {"port": "11435"}), ("server", {"port": True}), ("server", {"max_body_bytes": 0}),
        ("server", {"reply_model": "own"}), ("rate_limit", {"requests_per_minute": -1}),
        ("router", {"confidence_threshold": -0.1}), ("router", {"confidence_threshold_keyword": 1.1}),
        ("router", {"context_messages": 0}), ("router", {"unknown_model": "ignore"}), ("router", {"mode": "magic"}),
        ("router", {"scoring_weights": {"description": -1}}), ("router", {"keyword_fallback": "yes"}),
        ("expert_runner", {"retries": 11}), ("expert_runner", {"idle_timeout_s": 0}),
        ("expert_runner", {"breaker_failures": 0}), ("expert_runner", {"ollama_allowed_hosts": "localhost"}),
        ("ai_engine", {"n_ctx": 0}),
    ],
)
def test_a_value_out_of_its_range_is_refused(tmp_path: Path, section: str, values: dict[str, Any]) -> None:
    (problem,) = problems_of(write_folder(tmp_path, config={section: values}))
    assert f"at $.{section}.{next(iter(values))}" in problem
    assert problem.startswith(("config.json:3:", "config.json:4:"))


# Nodes


def node(name: str, url: str = "http://gpu:11434", **more: Any) -> dict[str, Any]:
    return {"name": name, "url": url, **more}


def test_experts_name_nodes_in_place_of_urls(tmp_path: Path) -> None:
    nodes = [node("old", "http://10.0.0.1:11434", vram_gb=60), node("new", "http://10.0.0.2:11434", max_parallel=4)]
    experts = [FALLBACK, expert(1, "one", url="old"), expert(2, "both", urls=["new", "old", "http://10.0.0.3:11434"])]
    config = read_config(write_folder(tmp_path, config={"nodes": nodes}, experts=experts))
    assert [(each.name, each.vram, each.max_parallel) for each in config.nodes] == [
        ("old", 60 * 10**9, None), ("new", None, 4)]
    assert [(each.url, each.urls) for each in config.experts[1:]] == [
        ("http://10.0.0.1:11434", ()),
        ("", ("http://10.0.0.2:11434", "http://10.0.0.1:11434", "http://10.0.0.3:11434"))]


def test_a_name_that_no_node_has_is_refused_with_those_there_are(tmp_path: Path) -> None:
    experts = [FALLBACK, expert(1, "one", url="odl"), expert(2, "two", urls=["old", "", "new"])]
    told = problems_of(write_folder(tmp_path, config={"nodes": [node("old")]}, experts=experts))
    assert [problem.partition("): ")[2] for problem in told] == [
        '"odl" is no URL and no node\'s name: those are old',
        '"" is no URL and no node\'s name: those are old',
        '"new" is no URL and no node\'s name: those are old',
    ]
    (problem,) = problems_of(write_folder(tmp_path, experts=[FALLBACK, expert(1, "one", url="old")]))
    assert "must begin with http:// or https://" in problem


def test_an_api_is_not_reached_by_a_nodes_name(tmp_path: Path) -> None:
    one = expert(1, "one", type="api", model_name="m", provider="openai", api_base="old")
    (problem,) = problems_of(write_folder(tmp_path, config={"nodes": [node("old")]}, experts=[FALLBACK, one]))
    assert "$.experts[1].api_base" in problem


@pytest.mark.parametrize(("nodes", "told"), [
    ([node("a"), node("A", "http://gpu2:11434")], '$.nodes[1].name: another node is called "A" already'),
    ([node("a"), node("b")], "$.nodes[1].url: stands at two nodes"),
    ([node("http://gpu")], "$.nodes[0].name: \"http://gpu\" must be a visible name"),
    ([node(" ")], "$.nodes[0].name: \" \" must be a visible name"),
    ([node("")], "$.nodes[0].name: expected"),
    ([node("a", "gpu:11434")], "$.nodes[0].url: 'gpu:11434' must begin with http:// or https://"),
    ([node("a", "http://169.254.169.254")], "$.nodes[0].url: 169.254.169.254 is a link-local address"),
    ([{"name": "a"}], '$.nodes[0]: "url" is missing'),
    ([{"url": "http://gpu:11434"}], '$.nodes[0]: "name" is missing'),
    ([node("a", vram_gb=0)], "$.nodes[0].vram_gb: expected"),
    ([node("a", vram_gb="32")], "$.nodes[0].vram_gb: expected"),
    ([node("a", max_parallel=0)], "$.nodes[0].max_parallel: expected"),
    ([node("a", vram=32)], '$.nodes[0].vram: unknown field "vram"; did you mean "vram_gb"?'),
    (["http://gpu:11434"], "$.nodes[0]: expected an object"),
    ({"a": "http://gpu:11434"}, "$.nodes: expected a list"),
])
def test_a_node_that_cannot_be_used_is_refused_at_its_place(tmp_path: Path, nodes: Any, told: str) -> None:
    (problem,) = problems_of(write_folder(tmp_path, config={"nodes": nodes}))
    assert f"at {told}" in problem
