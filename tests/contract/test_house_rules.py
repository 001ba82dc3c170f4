"""Rules of the house that no library checks: sizes, names, the only commit, the catalogue."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = ("shared", "services", "deploy", "tests")
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "manager", "core", "misc"}
TEN = {
    "__init__",
    "__main__",
    "rules",
    "tables",
    "queries",
    "commands",
    "handlers",
    "api",
    "schemas",
}
SERVICES = ("customer", "orders", "workflow", "scoring", "notify")


def tracked(pattern: str) -> list[Path]:
    """Files that git knows or would know: never what is installed."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", pattern],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def python_files() -> list[Path]:
    return [p for p in tracked("*.py") if p.relative_to(ROOT).parts[0] in CODE]


def test_files_have_at_most_400_lines():
    long = {
        str(p.relative_to(ROOT)): n
        for p in python_files()
        if (n := len(p.read_text().splitlines())) > 400
    }
    assert not long


def test_functions_have_at_most_70_lines():
    long = []
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > 70:
                    long.append(f"{path.relative_to(ROOT)}:{node.name} {lines}")
    assert not long


def test_no_module_has_a_name_that_says_nothing():
    bad = [
        str(p.relative_to(ROOT))
        for p in python_files()
        if FORBIDDEN_NAMES & {*p.relative_to(ROOT).parts[:-1], p.stem}
    ]
    assert not bad


def test_one_function_in_the_repository_commits():
    commits = []
    for path in python_files():
        parts = path.relative_to(ROOT).parts
        if parts[0] not in ("shared", "services") or "migrations" in parts or "testing" in parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "commit"
                and ast.unparse(node.func.value)
                in ("session", "self.session", "tx.session", "connection", "conn")
            ):
                commits.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert len(commits) == 1, commits
    assert commits[0].startswith("shared/db.py")


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_ten_files(service):
    folder = ROOT / "services" / service
    wanted = TEN if service != "scoring" else TEN | {"app"}
    missing = {
        n
        for n in wanted
        if not (folder / f"{n}.py").exists() and not (folder / n / "__init__.py").exists()
    }
    assert not missing
    assert list((folder / "migrations").glob("0*.py"))


@pytest.mark.parametrize("service", SERVICES)
def test_sql_is_never_built_from_values(service):
    """No f-string or % goes into text(): parameters only."""
    bad = []
    for path in (ROOT / "services" / service).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) in ("text", "sa.text")
                and node.args
                and isinstance(node.args[0], ast.JoinedStr | ast.BinOp)
            ):
                bad.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not bad


def test_now_is_never_asked_of_the_database_or_the_naive_clock():
    bad = []
    for path in python_files():
        parts = path.relative_to(ROOT).parts
        if parts[0] != "services" or "migrations" in parts:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"\bfunc\.now\(|(?<!_)\bnow\(\)|datetime\.utcnow|current_timestamp", line):
                bad.append(f"{path.relative_to(ROOT)}:{number}")
    assert not bad


def test_every_fact_is_handled_or_named_as_for_others():
    """A type on a topic that nobody handles would be said to nobody."""
    from shared.events import CATALOGUE

    handled = set()
    for service in SERVICES:
        source = "".join(p.read_text() for p in (ROOT / "services" / service).rglob("*.py"))
        handled |= {
            t for t, fact in CATALOGUE.items() if re.search(rf"\b{fact.__name__}\b", source)
        }
    assert set(CATALOGUE) - handled == set()


def test_no_machine_path_or_address_is_committed():
    bad = []
    for path in tracked("*"):
        if path.suffix in (".png", ".woff2") or path.name == "test_house_rules.py":
            continue
        body = path.read_bytes()
        if re.search(rb"pypi\.org|pythonhosted|registry\.npmjs|repo1?\.maven|deb\.debian", body):
            bad.append(str(path.relative_to(ROOT)))
    assert not bad
