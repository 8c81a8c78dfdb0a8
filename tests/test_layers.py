"""The house's plan, kept by the code: imports go down only, and each heavy or delicate thing has one place."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from moe.config.settings import ROOT

FLOORS = (
    {"errors", "files", "options", "__version__"},
    {"experts"},
    {"core"},
    {"net", "replies", "trace"},
    {"config", "metrics", "log", "hub", "aliases"},
    {"engines"},
    {"embed", "weights", "store"},
    {"backends", "dialects", "routing", "encoders", "knowledge", "tools"},
    {"pipeline", "judge", "training"},
    {"upstreams", "web"},
    {"build"},
    {"service"},
    {"app", "cli"},
    {"__main__"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted([ROOT / "app.py", *(ROOT / "moe").rglob("*.py")])
# What may be imported where; the heavy ones moreover only inside a function.
PLACES = {
    "flask": {"app.py", "moe/web"},
    "werkzeug": {"moe/web"},
    "waitress": {"moe/web"},
    "urllib3": {"moe/backends/transport.py"},
    "litellm": {"moe/backends/engine.py"},
    "onnxruntime": {"moe/engines.py", "moe/encoders/workshop.py"},
    "sentence_transformers": {"moe/embed/transformer.py"},
    "torch": {"moe/embed/transformer.py", "moe/routing/classifier.py", "moe/training/learner.py"},
    "llama_cpp": {"moe/backends/llama/library.py"},
    "sentencepiece": {"moe/engines.py"},
    "scipy": {"moe/routing/learner.py", "moe/routing/mixing.py", "moe/judge/tuning.py"},
    "sklearn": {"moe/routing/learner.py", "moe/routing/gate.py"},
    "threadpoolctl": {"moe/routing/fit.py"},
    "pypdf": {"moe/knowledge/documents/pdf.py"},
    "openpyxl": {"moe/knowledge/documents/sheets.py"},
    "lxml": {"moe/knowledge/documents/html.py", "moe/knowledge/documents/packed.py", "moe/tools/law/documents.py",
             "moe/tools/law/sheet.py"},
    "sqlite3": {"moe/store"},
    "sympy": {"moe/tools/equations"},
    "mpmath": {"moe/tools/equations", "moe/tools/arithmetic"},
    "pint": {"moe/tools/units/registry.py"},
    "babel": {"moe/tools/dates/writing.py"},
    "mcp": {"moe/cli/mcp.py", "moe/cli/mcp_lines.py"},
    "mcp_types": {"moe/tools/mcp.py", "moe/tools/rpc.py", "moe/cli/mcp.py", "moe/cli/mcp_lines.py"},
}
HEAVY = ("litellm", "onnxruntime", "sentence_transformers", "sentencepiece", "torch", "llama_cpp")


def where(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def room_of(file: Path) -> str:
    """The room a module stands in: a folder of moe/, a module beside them, or app."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return parts[1] if len(parts) > 1 else parts[0]


@cache
def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def imports(file: Path) -> list[tuple[tuple[str, ...], int]]:
    """Every import with its line: ("moe", "config", "schema") however it is written."""
    package = file.relative_to(ROOT).parent.parts
    found: list[tuple[tuple[str, ...], int]] = []
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.Import):
            found += ((tuple(alias.name.split(".")), node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module or "").split(".")) if node.module else base
            found += (((*module, alias.name), node.lineno) for alias in node.names)
    return found


@pytest.mark.parametrize("file", [file for file in FILES if room_of(file) != "__init__"], ids=where)
def test_imports_go_down_only(file: Path) -> None:
    own = room_of(file)
    reached = {(path[1] if path[0] == "moe" else path[0], line) for path, line in imports(file)
               if path[0] in ("moe", "app")}
    upwards = [f"line {line}: {room}" for room, line in reached if room != own and FLOOR_OF[room] >= FLOOR_OF[own]]
    assert upwards == []


@pytest.mark.parametrize("package", PLACES)
def test_it_is_imported_in_its_place_only(package: str) -> None:
    users = {where(file) for file in FILES for path, _ in imports(file) if path[0] == package}
    homes = {user: {place for place in PLACES[package] if f"{user}/".startswith(f"{place}/")} for user in users}
    assert [user for user, places in homes.items() if not places] == []
    assert set().union(*homes.values()) == PLACES[package]


@pytest.mark.parametrize("package", HEAVY)
def test_what_is_heavy_is_imported_only_when_it_is_needed(package: str) -> None:
    for file in FILES:
        top = parse(file).body
        eager = [node for node in top if isinstance(node, (ast.Import, ast.ImportFrom))]
        names = [alias.name for node in eager for alias in node.names]
        names += [node.module or "" for node in eager if isinstance(node, ast.ImportFrom)]
        assert package not in {name.split(".")[0] for name in names}, where(file)


def test_only_one_module_reads_the_environment() -> None:
    readers = {where(file) for file in FILES for node in ast.walk(parse(file))
               if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
               and isinstance(node.value, ast.Name) and node.value.id == "os"}
    assert readers == {"moe/config/settings.py"}


def test_no_module_leads_back_to_itself() -> None:
    by_name = {name_of(file): file for file in FILES}
    leads = {name: {found for path, _ in imports(file) if (found := known_part(path, by_name)) not in (None, name)}
             for name, file in by_name.items()}
    free: set[tuple[str, ...] | None] = set()
    while leaves := {name for name, found in leads.items() if name not in free and found <= free}:
        free |= leaves
    assert sorted(".".join(name) for name in leads.keys() - free) == []


def name_of(file: Path) -> tuple[str, ...]:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def known_part(path: tuple[str, ...], by_name: dict[tuple[str, ...], Path]) -> tuple[str, ...] | None:
    """The module that an import reads: a name in it is cut off, what is not ours is None."""
    return next((path[:size] for size in range(len(path), 1, -1) if path[:size] in by_name), None)


@pytest.mark.parametrize("file", FILES, ids=where)
def test_a_module_says_in_its_first_sentence_what_it_is(file: Path) -> None:
    code = parse(file)
    assert not code.body or ast.get_docstring(code)
