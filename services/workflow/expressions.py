"""Conditions and scripts of process definitions: a small language read by a white list.

Process authors never get Python. The text is parsed, every node is checked, and our own walker
computes it: no attributes, no lambdas, no loops, fixed calls, bounded size and work.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine
from SpiffWorkflow.bpmn.script_engine.python_environment import BasePythonScriptEngineEnvironment

TEXT_CHARS_MAX = 1000
NODES_MAX = 200
DEPTH_MAX = 20
STATEMENTS_MAX = 20
INTEGER_BITS_MAX = 128
LENGTH_MAX = 10_000  # of texts and lists, in and out

Value = Any  # None, bool, int, str, and lists and dicts of them


class ExpressionRefused(Exception):
    """The text is not in the language, or goes beyond its bounds. `reason` says where."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
ARITHMETIC: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
CALLS: dict[str, Callable[..., Any]] = {"len": len, "min": min, "max": max, "abs": abs}
NODES = (
    ast.Expression,
    ast.Module,
    ast.Assign,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.UnaryOp,
    ast.Not,
    ast.USub,
    ast.BinOp,
    ast.Compare,
    ast.IfExp,
    ast.Call,
    ast.Name,
    ast.Load,
    ast.Store,
    ast.Constant,
    ast.List,
    ast.Tuple,
    ast.Subscript,
    *COMPARISONS,
    *ARITHMETIC,
)


def evaluate(text: str, data: Mapping[str, Value]) -> Value:
    """The value of one expression over the data. Raises ExpressionRefused."""
    tree = _checked(text, "eval")
    assert isinstance(tree, ast.Expression)
    return _value(tree.body, data)


def execute(text: str, data: Mapping[str, Value]) -> dict[str, Value]:
    """Runs `name = expression` lines; returns the names that were set. Raises ExpressionRefused."""
    tree = _checked(text, "exec")
    assert isinstance(tree, ast.Module)
    assigned: dict[str, Value] = {}
    for statement in tree.body:
        assert isinstance(statement, ast.Assign)
        target = statement.targets[0]
        assert isinstance(target, ast.Name)
        assigned[target.id] = _value(statement.value, {**data, **assigned})
    return assigned


def check_expression(text: str) -> None:
    """Is it in the language? Raises ExpressionRefused. Asked when a definition is published."""
    _checked(text, "eval")


def check_script(text: str) -> None:
    """As check_expression, for the lines of a script task."""
    _checked(text, "exec")


def _checked(text: str, mode: str) -> ast.AST:
    if len(text) > TEXT_CHARS_MAX:
        raise ExpressionRefused(f"longer than {TEXT_CHARS_MAX} characters")
    try:
        tree = ast.parse(text.strip(), mode=mode)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ExpressionRefused(f"not an expression: {type(error).__name__}") from error
    _check_shape(tree)
    if isinstance(tree, ast.Module):
        _check_statements(tree)
    return tree


def _check_shape(tree: ast.AST) -> None:
    seen = 0
    level: list[ast.AST] = [tree]
    for _ in range(DEPTH_MAX):
        following: list[ast.AST] = []
        for node in level:
            seen += 1
            if seen > NODES_MAX:
                raise ExpressionRefused(f"more than {NODES_MAX} parts")
            _check_node(node)
            following.extend(ast.iter_child_nodes(node))
        level = following
        if not level:
            return
    raise ExpressionRefused(f"nested deeper than {DEPTH_MAX}")


def _check_node(node: ast.AST) -> None:
    if not isinstance(node, NODES):
        raise ExpressionRefused(f"{type(node).__name__} is not in the language")
    if isinstance(node, ast.Name) and node.id.startswith("_"):
        raise ExpressionRefused(f"the name {node.id} is not allowed")
    if isinstance(node, ast.Constant) and not isinstance(node.value, str | int | None):
        raise ExpressionRefused(f"a constant of type {type(node.value).__name__}")
    if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Constant):
        raise ExpressionRefused("an index must be a constant")
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in CALLS:
            raise ExpressionRefused("only fixed functions may be called")
        if node.keywords or not 1 <= len(node.args) <= 10:
            raise ExpressionRefused("a call takes 1 to 10 plain arguments")


def _check_statements(tree: ast.Module) -> None:
    if not 1 <= len(tree.body) <= STATEMENTS_MAX:
        raise ExpressionRefused(f"a script has 1 to {STATEMENTS_MAX} lines")
    for statement in tree.body:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            raise ExpressionRefused("a script line is `name = expression`")
        target = statement.targets[0]
        if not isinstance(target, ast.Name) or target.id in CALLS:
            raise ExpressionRefused("a script sets plain names only")


def _value(node: ast.expr, data: Mapping[str, Value]) -> Value:
    try:
        return _bounded(_computed(node, data))
    except (TypeError, ZeroDivisionError, KeyError, IndexError) as error:
        raise ExpressionRefused(f"cannot compute: {type(error).__name__}: {error}") from error


def _computed(node: ast.expr, data: Mapping[str, Value]) -> Value:  # noqa: PLR0911 -- a switch over node kinds reads best whole
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            if node.id not in data:
                raise ExpressionRefused(f"{node.id} is not known")
            return _plain(data[node.id])
        case ast.BoolOp():
            return _boolean(node, data)
        case ast.UnaryOp():
            operand = _value(node.operand, data)
            return not operand if isinstance(node.op, ast.Not) else -_integer(operand)
        case ast.BinOp():
            return _arithmetic(node, data)
        case ast.Compare():
            return _comparison(node, data)
        case ast.IfExp():
            return _value(node.body if _value(node.test, data) else node.orelse, data)
        case ast.List() | ast.Tuple():
            return [_value(item, data) for item in node.elts]
        case ast.Subscript():
            assert isinstance(node.slice, ast.Constant)
            return _plain(_value(node.value, data)[node.slice.value])
        case ast.Call():
            assert isinstance(node.func, ast.Name)
            return CALLS[node.func.id](*(_value(argument, data) for argument in node.args))
        case _:
            raise ExpressionRefused(f"{type(node).__name__} is not in the language")


def _boolean(node: ast.BoolOp, data: Mapping[str, Value]) -> bool:
    values = (bool(_value(part, data)) for part in node.values)
    return all(values) if isinstance(node.op, ast.And) else any(values)


def _arithmetic(node: ast.BinOp, data: Mapping[str, Value]) -> Value:
    left, right = _value(node.left, data), _value(node.right, data)
    if isinstance(node.op, ast.Add) and isinstance(left, str) and isinstance(right, str):
        return left + right
    return ARITHMETIC[type(node.op)](_integer(left), _integer(right))


def _comparison(node: ast.Compare, data: Mapping[str, Value]) -> bool:
    left = _value(node.left, data)
    for kind, part in zip(node.ops, node.comparators, strict=True):
        right = _value(part, data)
        if not COMPARISONS[type(kind)](left, right):
            return False
        left = right
    return True


def _integer(value: Value) -> int:
    if not isinstance(value, int):
        raise ExpressionRefused(f"{type(value).__name__} where an integer is needed")
    return value


def _plain(value: Value) -> Value:
    if value is None or isinstance(value, bool | int | str | list | dict):
        return value
    raise ExpressionRefused(f"{type(value).__name__} is not plain data")


def _bounded(value: Value) -> Value:
    if isinstance(value, int) and value.bit_length() > INTEGER_BITS_MAX:
        raise ExpressionRefused(f"a number beyond {INTEGER_BITS_MAX} bits")
    if isinstance(value, str | list | dict) and len(value) > LENGTH_MAX:
        raise ExpressionRefused(f"longer than {LENGTH_MAX}")
    return value


class ListedCalls(BasePythonScriptEngineEnvironment):  # type: ignore[misc]
    """What the engine computes with; service tasks are only noted, the command performs them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, dict[str, Value]]] = []

    def evaluate(
        self,
        expression: str,
        context: dict[str, Value],
        external_context: dict[str, Value] | None = None,
    ) -> Value:
        return evaluate(expression, {**(external_context or {}), **context})

    def execute(
        self,
        script: str,
        context: dict[str, Value],
        external_context: dict[str, Value] | None = None,
    ) -> bool:
        context.update(execute(script, {**(external_context or {}), **context}))
        return True

    def call_service(self, context: dict[str, Value], *, step: str) -> None:
        self.calls.append((step, dict(context)))


class ExpressionEngine(PythonScriptEngine):  # type: ignore[misc]
    """The only script engine a workflow of ours ever gets; a fresh one for each run."""

    def __init__(self) -> None:
        super().__init__(environment=ListedCalls())

    @property
    def calls(self) -> list[tuple[str, dict[str, Value]]]:
        environment = self.environment
        assert isinstance(environment, ListedCalls)
        return environment.calls

    def validate(self, expression: str) -> None:
        check_expression(expression)

    def call_service(self, task: Any, *, step: str) -> None:
        self.environment.call_service(task.data, step=step)
