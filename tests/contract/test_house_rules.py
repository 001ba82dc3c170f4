"""Rules of the house that no library checks: sizes, names, the only commit, the catalogue."""

import ast
import functools
import importlib
import re
import subprocess
from pathlib import Path

import pytest

from shared.directory import HANDLERS as DIRECTORY_HANDLERS
from shared.events import CATALOGUE

ROOT = Path(__file__).parents[2]
CODE = ("shared", "services", "deploy", "tests")
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "manager", "core", "misc"}
TEN = {  # with migrations/, which is looked at by its revisions
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
# A name of a table is no parameter of SQL.
SQL_WITH_NAMES = {
    "services/scoring/commands/copying.py": "temporary tables and COPY; all callers pass constants",
    "services/scoring/commands/open_leaves.py": "the fold's move and the roll's: columns of ours",
    "services/scoring/queries/reach.py": "two forms of a constant: who sees all, and the others",
}
# The scorer's worker reads these itself, in batches and without the handlers' transaction.
HEARD_OUTSIDE_HANDLERS = {
    "bank.day_closed.v1": "scoring",
    "bank.rate_set.v1": "scoring",
    "bank.source_described.v1": "scoring",
    "scoring.event_replayed.v1": "scoring",
    "scoring.rule_set_accepted.v1": "scoring",
}
UNSAID = {
    "workflow.reassignment_requested.v1": "customer reassignment comes as a process of its own"
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


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


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
        for node in ast.walk(tree_of(path)):
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
        for node in ast.walk(tree_of(path)):
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
    wanted = TEN if service != "scoring" else TEN | {"worker", "scores"}
    missing = {
        n
        for n in wanted
        if not (folder / f"{n}.py").exists() and not (folder / n / "__init__.py").exists()
    }
    assert not missing
    assert list((folder / "migrations").glob("0*.py"))


def test_a_service_has_a_settings_file_only_for_settings_of_its_own():
    """Of settings.py, unlike the ten, a service without any has none: no file that only imports."""
    found = {path.parent.name: tree_of(path) for path in tracked("services/*/settings.py")}
    assert "notify" in found
    empty = {
        service
        for service, tree in found.items()
        if not any(isinstance(n, ast.ClassDef | ast.FunctionDef) for n in tree.body)
    }
    assert not empty


@pytest.mark.parametrize("folder", ["shared", *(f"services/{name}" for name in SERVICES)])
def test_sql_is_never_built_from_values(folder):
    """Inside a function only constants of the module go into text(): values are parameters.

    A statement built at the head of a module is built before any value exists.
    """
    bad = []
    for path in (ROOT / folder).rglob("*.py"):
        if path.parts[-2] == "migrations" or "testing" in path.parts:
            continue  # they name roles and schemas, which no parameter can
        tree = tree_of(path)
        constants = constants_of(tree)
        for call in calls_inside_functions(tree):
            if ast.unparse(call.func) not in ("text", "sa.text") or not call.args:
                continue
            if not is_constant(call.args[0], constants):
                bad.append(f"{path.relative_to(ROOT)}:{call.lineno}")
    assert {place.partition(":")[0] for place in bad} <= set(SQL_WITH_NAMES), bad


def constants_of(tree: ast.Module) -> set[str]:
    """Names in capitals: assigned at the head of the module, or brought from another."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return {name for name in names if name.isupper()}


def calls_inside_functions(tree: ast.Module) -> list[ast.Call]:
    """But in a function that only the head of its module calls."""
    functions = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    ]
    called_later = {
        n.id for function in functions for n in ast.walk(function) if isinstance(n, ast.Name)
    }
    functions = [
        function
        for function in functions
        if isinstance(function, ast.Lambda)
        or not function.name.startswith("_")
        or function not in tree.body
        or function.name in called_later
    ]
    return [n for function in functions for n in ast.walk(function) if isinstance(n, ast.Call)]


def is_constant(node: ast.expr, constants: set[str]) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name in constants
        case ast.Subscript(value=value):  # one of several statements, chosen by a key
            return is_constant(value, constants)
        case ast.JoinedStr(values=parts):
            return all(is_constant(part, constants) for part in parts)
        case ast.FormattedValue(value=value):
            return is_constant(value, constants)
        case ast.BinOp(left=left, right=right):
            return is_constant(left, constants) and is_constant(right, constants)
    return False


@pytest.mark.parametrize(
    ("source", "constant"),
    [
        ('def f(v): return text("select 1")', True),
        ('A = "x"\ndef f(v): return text(f"select {A} " + A)', True),
        ("def f(v): return text(f'select {v}')", False),
        ('def f(v): return text("select %s" % v)', False),
        ('def f(v): return text("select {}".format(v))', False),
        ("def f(v):\n    V = v\n    return text(V)", False),
        ("f = lambda v: text(v)", False),
        ('def _f(v): return text(f"{v}")\nA = _f("a")', True),
        ('def _f(v): return text(f"{v}")\ndef g(v): return _f(v)', False),
    ],
)
def test_the_rule_for_sql_tells_a_value_from_a_constant(source, constant):
    tree = ast.parse(source)
    found = [c for c in calls_inside_functions(tree) if ast.unparse(c.func) == "text"]
    assert all(is_constant(c.args[0], constants_of(tree)) for c in found) is constant


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


def test_every_fact_is_heard():
    """A type on a topic that nobody handles would be said to nobody."""
    heard = {fact.TYPE for fact in DIRECTORY_HANDLERS} | set(HEARD_OUTSIDE_HANDLERS)
    for service in SERVICES:
        handlers = importlib.import_module(f"services.{service}.handlers").HANDLERS
        heard |= {fact.TYPE for fact in handlers}
    assert not set(CATALOGUE) - heard


def test_every_fact_that_a_service_owns_is_said_by_it():
    unsaid = set()
    for service in SERVICES:
        words = set(re.findall(r"\w+", source_of(service)))
        unsaid |= {
            kind
            for kind, fact in CATALOGUE.items()
            if kind.startswith(f"{service}.") and fact.__name__ not in words
        }
    assert unsaid == set(UNSAID)


@pytest.mark.parametrize(("kind", "service"), HEARD_OUTSIDE_HANDLERS.items())
def test_a_fact_heard_outside_the_handlers_is_named_where_it_is_heard(kind, service):
    assert re.search(rf"\b{CATALOGUE[kind].__name__}\b", source_of(service))


def source_of(service: str) -> str:
    return "\n".join(p.read_text() for p in (ROOT / "services" / service).rglob("*.py"))


ADDRESSES = re.compile(
    rb"pypi\.org|python(?:)hosted|registry\.npmjs|repo1?\.maven|deb\.debian"  # not itself
)


def test_no_machine_path_or_address_is_committed():
    bad = []
    for path in tracked("*"):
        if path.suffix in (".png", ".woff2") or path.name == "test_house_rules.py":
            continue
        body = path.read_bytes()
        if ADDRESSES.search(body):
            bad.append(str(path.relative_to(ROOT)))
    assert not bad
