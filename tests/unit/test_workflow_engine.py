"""The engine as a library: steps, states without definition, and what may not be published."""

import json
import threading

import pytest

from services.workflow import bpmn, engine
from services.workflow.bpmn import DefinitionRefused, read_definition

ACTIONS = frozenset({"tell_supervisor"})
SHIPPED = {d.key: d for d in bpmn.shipped_definitions(ACTIONS)}
RETENTION = SHIPPED["retention"]
APPROVAL = SHIPPED["order_approval"]


def through(*outcomes: str) -> engine.Stepped:
    step = engine.start(RETENTION.spec, {"party_id": "P1"})
    for outcome in outcomes:
        (waiting,) = step.waiting
        step = engine.complete(
            RETENTION.spec, step.state, waiting.engine_task_id, {"outcome": outcome}
        )
    return step


def test_retention_goes_from_assess_to_contact_to_outcome() -> None:
    assert [w.step_id for w in through().waiting] == ["assess"]
    assert [w.step_id for w in through("contact").waiting] == ["contact"]
    assert [w.step_id for w in through("contact", "reached").waiting] == ["outcome"]
    done = through("contact", "reached", "kept")
    assert done.finished
    assert done.data["outcome"] == "kept"
    assert done.calls == ()


def test_false_alarm_ends_the_process_at_once() -> None:
    done = through("false_alarm")
    assert done.finished
    assert done.data["outcome"] == "false_alarm"


def test_lost_customer_passes_the_service_task_once() -> None:
    done = through("contact", "unreachable", "lost")
    assert done.finished
    assert [step for step, _ in done.calls] == ["tell_supervisor"]


def test_state_holds_no_definition() -> None:
    step = through("contact")
    state = json.dumps(step.state)
    assert "spec" not in step.state
    assert "false_alarm'" not in state  # no condition of the definition
    assert "outcomes" not in state
    assert len(state) < 6_000


def test_state_grows_with_steps_and_not_with_the_definition() -> None:
    padded = RETENTION.xml.replace(
        "<bpmn:startEvent ",
        "<bpmn:documentation>" + "x" * 50_000 + "</bpmn:documentation><bpmn:startEvent ",
        1,
    )
    large = read_definition(padded.encode(), ACTIONS)
    step = engine.start(large.spec, {"party_id": "P1"})
    assert len(json.dumps(step.state)) < 6_000


def test_completed_step_cannot_be_completed_again() -> None:
    first = engine.start(RETENTION.spec, {})
    (waiting,) = first.waiting
    second = engine.complete(
        RETENTION.spec, first.state, waiting.engine_task_id, {"outcome": "contact"}
    )
    with pytest.raises(engine.StepRefused):
        engine.complete(
            RETENTION.spec, second.state, waiting.engine_task_id, {"outcome": "contact"}
        )


def test_a_step_does_not_change_the_state_it_started_from() -> None:
    first = engine.start(RETENTION.spec, {})
    before = json.dumps(first.state)
    engine.complete(
        RETENTION.spec, first.state, first.waiting[0].engine_task_id, {"outcome": "contact"}
    )
    assert json.dumps(first.state) == before


def test_message_reaches_the_waiting_token() -> None:
    step = engine.start(APPROVAL.spec, {"order_id": "O1"})
    (waiting,) = step.waiting
    assert waiting.step_id == "approve_order"
    done = engine.receive(APPROVAL.spec, step.state, waiting.engine_task_id, {"outcome": "refused"})
    assert done.finished
    assert done.data["outcome"] == "refused"
    with pytest.raises(engine.StepRefused):
        engine.receive(APPROVAL.spec, done.state, waiting.engine_task_id, {"outcome": "refused"})


def test_instances_of_one_definition_do_not_touch_in_threads() -> None:
    results: list[str] = []

    def run(outcome: str) -> None:
        results.extend(
            through("contact", "reached", outcome).data["outcome"] + ":" + outcome
            for _ in range(10)
        )

    threads = [threading.Thread(target=run, args=(o,)) for o in ("kept", "lost", "recovering")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(f"{o}:{o}" for o in ("kept", "lost", "recovering") * 10)


def changed(old: str, new: str) -> bytes:
    assert old in RETENTION.xml
    return RETENTION.xml.replace(old, new, 1).encode()


@pytest.mark.parametrize(
    "xml",
    [
        changed("outcome == 'lost'", "().__class__"),
        changed("outcome == 'lost'", "__import__('os')"),
        changed('guanxi:action="tell_supervisor"', 'guanxi:action="shell"'),
        changed('guanxi:dueWorkdays="1"', 'guanxi:dueWorkdays="9999"'),
        changed('guanxi:assign="owner"', 'guanxi:assign="anyone"'),
        changed("<bpmn:startEvent ", '<bpmn:callActivity id="c"/><bpmn:startEvent '),
        changed("<bpmn:startEvent ", '<bpmn:subProcess id="c"/><bpmn:startEvent '),
        changed(
            "<bpmn:startEvent ",
            '<bpmn:boundaryEvent id="b" attachedToRef="assess"><bpmn:timerEventDefinition/>'
            "</bpmn:boundaryEvent><bpmn:startEvent ",
        ),
        changed("<?xml version", "<!-- --><?xml version"),
        changed("<bpmn:definitions", '<!DOCTYPE x [<!ENTITY a "b">]><bpmn:definitions'),
        changed('code="lost"', 'code=""'),
        b"<x/>",
        b"x" * 300_000,
    ],
)
def test_definition_that_could_harm_is_not_published(xml: bytes) -> None:
    with pytest.raises(DefinitionRefused):
        read_definition(xml, ACTIONS)


def test_unguarded_loop_of_the_engine_is_stopped() -> None:
    loop = RETENTION.xml.replace(
        'sourceRef="is_lost" targetRef="closed"', 'sourceRef="is_lost" targetRef="is_real"'
    ).replace("outcome == 'false_alarm'", "1 == 2")
    looped = loop.replace(
        'id="to_contact" sourceRef="is_real" targetRef="contact"',
        'id="to_contact" sourceRef="is_real" targetRef="is_lost"',
    )
    definition = read_definition(looped.encode(), ACTIONS)
    first = engine.start(definition.spec, {})
    with pytest.raises(engine.StepRefused):
        engine.complete(
            definition.spec, first.state, first.waiting[0].engine_task_id, {"outcome": "contact"}
        )


def test_every_name_is_there_in_both_languages() -> None:
    for definition in SHIPPED.values():
        english = bpmn.in_language(definition.xml, "en")
        assert bpmn.in_language(definition.xml, "zh-CN") == definition.xml
        named = bpmn._parsed(english.encode())
        for element in named.iter(f"{{{bpmn.BPMN}}}*"):
            name = element.get("name") or ""
            assert name.isascii(), name
        for step in definition.steps.values():
            assert step.text["zh-CN"] != step.text["en"]
