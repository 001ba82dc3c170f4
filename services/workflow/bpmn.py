"""Process definitions: BPMN 2.0 with a few attributes of our own, checked before publication.

Attributes and elements of the namespace GUANXI say what the engine does not know: who gets a
step, its due time in working days, its outcomes and all names in English (Chinese is `name`).
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree  # type: ignore[import-untyped]  # no stubs are published with it

from services.workflow import engine
from services.workflow.expressions import ExpressionRefused, check_expression, check_script

BPMN = "http://www.omg.org/spec/BPMN/20100524/MODEL"
GUANXI = "https://guanxi.example/bpmn"
XML_BYTES_MAX = 262_144
STEPS_MAX = 60
DUE_WORKDAYS_MAX = 60
FOLDER = Path(__file__).parent / "definitions"
ELEMENTS = frozenset(
    {
        "definitions", "process", "message", "documentation", "extensionElements",
        "startEvent", "endEvent", "userTask", "receiveTask", "serviceTask", "scriptTask", "script",
        "exclusiveGateway", "parallelGateway", "sequenceFlow", "conditionExpression",
        "incoming", "outgoing", "textAnnotation", "association", "text",
    }
)  # fmt: skip
ASSIGNMENTS = ("owner", "chosen", "same")  # or role:<role>

Text = dict[str, str]


class DefinitionRefused(Exception):
    """The definition cannot be published. `reason` is for the process owner."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way a step can end."""

    code: str
    text: Text


@dataclass(frozen=True, slots=True)
class Step:
    """What our runtime knows of one BPMN element.

    assign: `owner` of the party, the `chosen` next participant (else the same as before),
    the `same` as before, or `role:<role>`.
    """

    id: str
    kind: str  # user, receive or service
    text: Text
    assign: str = "same"
    due_workdays: int | None = None
    outcomes: tuple[Outcome, ...] = ()
    message: str | None = None
    action: str | None = None

    def outcome(self, code: str) -> Outcome | None:
        return next((o for o in self.outcomes if o.code == code), None)


@dataclass(frozen=True, slots=True)
class Definition:
    """A version of a process, ready to run."""

    key: str
    sha256: str
    text: Text
    xml: str
    spec: str  # the engine's form, JSON text
    steps: dict[str, Step]


def read_definition(xml: bytes, actions: frozenset[str]) -> Definition:
    """Reads and checks a definition. Raises DefinitionRefused."""
    root = _parsed(xml)
    processes = root.findall(f"{{{BPMN}}}process")
    if len(processes) != 1 or not processes[0].get("id"):
        raise DefinitionRefused("a definition holds exactly one process with an id")
    process = processes[0]
    _check_elements(root)
    steps = steps_of(root)
    _check_steps(steps, actions)
    _check_expressions(root)
    key = str(process.get("id"))
    try:
        spec = engine.read_spec(_parsed(xml), key)
    except Exception as error:
        raise DefinitionRefused(f"the engine cannot read it: {error}") from error
    return Definition(
        key=key,
        sha256=hashlib.sha256(xml).hexdigest(),
        text=_text(process),
        xml=xml.decode(),
        spec=json.dumps(spec, ensure_ascii=False, sort_keys=True),
        steps=steps,
    )


def shipped_definitions(actions: frozenset[str]) -> list[Definition]:
    """The definitions of the product itself."""
    return [read_definition(path.read_bytes(), actions) for path in sorted(FOLDER.glob("*.bpmn"))]


def steps_of(root: Any) -> dict[str, Step]:
    """All steps that our runtime handles, by BPMN id."""
    messages = {m.get("id"): m.get("name") for m in root.findall(f"{{{BPMN}}}message")}
    steps: dict[str, Step] = {}
    for tag, kind in (("userTask", "user"), ("receiveTask", "receive"), ("serviceTask", "service")):
        for element in root.iter(f"{{{BPMN}}}{tag}"):
            due = _own(element, "dueWorkdays")
            steps[element.get("id")] = Step(
                id=element.get("id"),
                kind=kind,
                text=_text(element),
                assign=_own(element, "assign") or "same",
                due_workdays=_due(due) if due is not None else None,
                outcomes=tuple(
                    Outcome(o.get("code"), {"zh-CN": o.get("zh"), "en": o.get("en")})
                    for o in element.iter(f"{{{GUANXI}}}outcome")
                ),
                message=messages.get(element.get("messageRef")),
                action=_own(element, "action"),
            )
    return steps


def steps_of_xml(xml: str) -> dict[str, Step]:
    """The steps of a stored definition."""
    return steps_of(_parsed(xml.encode()))


def in_language(xml: str, language: str) -> str:
    """The same drawing with its names in the reader's language."""
    if language == "zh-CN":
        return xml
    root = _parsed(xml.encode())
    for element in root.iter(f"{{{BPMN}}}*"):
        name = _own(element, "en")
        if name is not None:
            element.set("name", name)
    return str(etree.tostring(root, encoding="unicode"))


def _parsed(xml: bytes) -> Any:
    if len(xml) > XML_BYTES_MAX:
        raise DefinitionRefused(f"larger than {XML_BYTES_MAX} bytes")
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:
        raise DefinitionRefused("a document type is not allowed")
    try:
        return etree.fromstring(
            xml, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
        )
    except etree.XMLSyntaxError as error:
        raise DefinitionRefused(f"not XML: {error}") from error


def _check_elements(root: Any) -> None:
    for element in root.iter(f"{{{BPMN}}}*"):
        name = etree.QName(element).localname
        if name not in ELEMENTS:
            raise DefinitionRefused(f"{name} is not supported ({element.get('id')})")


def _check_steps(steps: dict[str, Step], actions: frozenset[str]) -> None:
    if len(steps) > STEPS_MAX:
        raise DefinitionRefused(f"more than {STEPS_MAX} steps")
    for step in steps.values():
        if step.kind == "service":
            if step.action not in actions:
                raise DefinitionRefused(f"{step.id}: no such action {step.action}")
            continue
        if step.assign not in ASSIGNMENTS and not step.assign.startswith("role:"):
            raise DefinitionRefused(f"{step.id}: nobody is assigned by {step.assign}")
        if not step.outcomes:
            raise DefinitionRefused(f"{step.id}: a step needs outcomes")
        if any(not o.code or not all(o.text.values()) for o in step.outcomes):
            raise DefinitionRefused(f"{step.id}: an outcome needs a code and both names")
        if step.kind == "receive" and not step.message:
            raise DefinitionRefused(f"{step.id}: a message is missing")


def _check_expressions(root: Any) -> None:
    for tag, check in (("conditionExpression", check_expression), ("script", check_script)):
        for element in root.iter(f"{{{BPMN}}}{tag}"):
            try:
                check(element.text or "")
            except ExpressionRefused as error:
                where = element.getparent().get("id")
                raise DefinitionRefused(f"{where}: {error.reason}") from error


def _due(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= DUE_WORKDAYS_MAX:
        raise DefinitionRefused(f"dueWorkdays is 1 to {DUE_WORKDAYS_MAX}, not {text}")
    return int(text)


def _own(element: Any, name: str) -> str | None:
    value: str | None = element.get(f"{{{GUANXI}}}{name}")
    return value


def _text(element: Any) -> Text:
    name = element.get("name") or element.get("id")
    return {"zh-CN": name, "en": _own(element, "en") or name}
