"""SpiffWorkflow as a library: read a definition, start an instance, take one step.

The definition stays out of the instance's state: a state is the token tree only, restored over
the definition version it was started on, always with our own expression engine.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from SpiffWorkflow.bpmn import BpmnEvent, BpmnWorkflow
from SpiffWorkflow.bpmn.parser import BpmnParser
from SpiffWorkflow.bpmn.parser.TaskParser import TaskParser
from SpiffWorkflow.bpmn.parser.util import full_tag
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.serializer.config import DEFAULT_CONFIG
from SpiffWorkflow.bpmn.serializer.default.task_spec import BpmnTaskSpecConverter
from SpiffWorkflow.bpmn.serializer.default.workflow import BpmnWorkflowConverter
from SpiffWorkflow.bpmn.specs.defaults import ServiceTask
from SpiffWorkflow.util.task import TaskState

from services.workflow.expressions import ExpressionEngine

STEPS_MAX = 200  # engine steps of one transaction: a loop without a person is refused
State = dict[str, Any]


class StepRefused(Exception):
    """The engine cannot take this step: the token is elsewhere, or an expression was refused."""


class ActionTask(ServiceTask):  # type: ignore[misc]
    """A service task only notes its name; the command enqueues what the action says."""

    def _execute(self, task: Any) -> bool:
        task.workflow.script_engine.call_service(task, step=self.bpmn_id)
        return True


class TokensConverter(BpmnWorkflowConverter):  # type: ignore[misc]
    """An instance without its definition."""

    def to_dict(self, workflow: BpmnWorkflow) -> State:
        return {
            **super(BpmnWorkflowConverter, self).to_dict(workflow),
            "subprocesses": self.mapping_to_dict(workflow.subprocesses),
            "bpmn_events": self.registry.convert(workflow.bpmn_events),
        }

    def restored(self, state: State, spec: Any, engine: ExpressionEngine) -> BpmnWorkflow:
        """The workflow of a state over its definition; the only way back from a state."""
        workflow = BpmnWorkflow(spec, {}, script_engine=engine, deserializing=True)
        workflow.tasks = self.mapping_from_dict(state["tasks"], UUID, workflow=workflow)
        workflow.task_tree = workflow.tasks.get(UUID(state["root"]))
        self.set_default_attributes(workflow, state)
        workflow.bpmn_events = self.registry.restore(state.get("bpmn_events", []))
        return workflow


REGISTRY = BpmnWorkflowSerializer.configure(
    {**DEFAULT_CONFIG, BpmnWorkflow: TokensConverter, ActionTask: BpmnTaskSpecConverter}
)
TOKENS = TokensConverter(BpmnWorkflow, REGISTRY)


class DefinitionParser(BpmnParser):  # type: ignore[misc]
    """The BPMN reader with our service task."""

    OVERRIDE_PARSER_CLASSES = {  # noqa: RUF012 - read by the library off the class
        full_tag("serviceTask"): (TaskParser, ActionTask),
    }


@dataclass(frozen=True, slots=True)
class Waiting:
    """A token that waits for a person or a message."""

    engine_task_id: str
    step_id: str


@dataclass(frozen=True, slots=True)
class Stepped:
    """What one step left behind. `calls`: service steps passed, with the data they saw."""

    state: State
    waiting: tuple[Waiting, ...]
    calls: tuple[tuple[str, dict[str, Any]], ...]
    data: dict[str, Any]
    finished: bool


def read_spec(root: Any, key: str) -> dict[str, Any]:
    """The executable form of a definition, as JSON. `root` is an lxml element.

    Raises the library's ValidationException where the BPMN is wrong.
    """
    parser = DefinitionParser()
    parser.add_bpmn_xml(root)
    spec: dict[str, Any] = REGISTRY.convert(parser.get_spec(key))
    spec["file"] = None
    for task in spec["task_specs"].values():
        task.pop("file", None)
    json.dumps(spec)  # a definition that cannot be stored must fail here, not at its first step
    return spec


@lru_cache(maxsize=64)
def _spec_of(stored: str) -> Any:
    return REGISTRY.restore(json.loads(stored))


def start(spec: str, data: dict[str, Any]) -> Stepped:
    """A new instance, run to its first waiting tokens. `spec` is the stored JSON text."""
    engine = ExpressionEngine()
    workflow = BpmnWorkflow(_spec_of(spec), {}, script_engine=engine)
    workflow.task_tree.set_data(**data)
    for task in workflow.get_tasks(state=TaskState.READY):
        task.set_data(**data)
    return _run_on(workflow, engine)


def complete(spec: str, state: State, engine_task_id: str, data: dict[str, Any]) -> Stepped:
    """Completes the step a person did, with what they decided. Raises StepRefused."""
    engine = ExpressionEngine()
    workflow = _restored(spec, state, engine)
    task = _task(workflow, engine_task_id, TaskState.READY)
    task.set_data(**data)
    task.run()
    return _run_on(workflow, engine)


def receive(spec: str, state: State, engine_task_id: str, data: dict[str, Any]) -> Stepped:
    """Gives a message to the token that waits for it. Raises StepRefused.

    Which token that is was decided by our subscription table, never by the engine's matching.
    """
    engine = ExpressionEngine()
    workflow = _restored(spec, state, engine)
    task = _task(workflow, engine_task_id, TaskState.WAITING)
    task.task_spec.catch(task, BpmnEvent(task.task_spec.event_definition, payload=data))
    task.task_spec._update(task)
    return _run_on(workflow, engine)


def _restored(spec: str, state: State, engine: ExpressionEngine) -> BpmnWorkflow:
    copied = json.loads(json.dumps(state))  # the library takes what it restores apart
    return TOKENS.restored(copied, _spec_of(spec), engine)


def _task(workflow: BpmnWorkflow, engine_task_id: str, wanted: int) -> Any:
    task = workflow.tasks.get(UUID(engine_task_id))
    if task is None or not task.has_state(wanted):
        raise StepRefused("the step is not waiting any more")
    return task


def _run_on(workflow: BpmnWorkflow, engine: ExpressionEngine) -> Stepped:
    steps = 0

    def counted(_: Any) -> None:
        nonlocal steps
        steps += 1
        if steps > STEPS_MAX:
            raise StepRefused(f"more than {STEPS_MAX} steps without waiting for anybody")

    try:
        workflow.do_engine_steps(will_complete_task=counted)
    except StepRefused:
        raise
    except Exception as error:
        raise StepRefused(f"a step cannot be computed: {error}") from error
    waiting = tuple(
        Waiting(str(task.id), task.task_spec.name)
        for task in workflow.get_tasks(state=TaskState.READY | TaskState.WAITING)
        if task.task_spec.manual or task.has_state(TaskState.WAITING)
    )
    last = workflow.last_task
    return Stepped(
        state=_plain(TOKENS.to_dict(workflow)),
        waiting=waiting,
        calls=tuple(engine.calls),
        data=dict(workflow.data) | (dict(last.data) if last is not None else {}),
        finished=bool(workflow.completed),
    )


def _plain(state: State) -> State:
    """Plain JSON, as the database will give it back."""
    plain: State = json.loads(json.dumps(state))
    return plain
