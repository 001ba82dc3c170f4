"""Who may watch what live: the staff of two branches, and the hints that reach each of them."""

import asyncio
import json
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from services.notify import api
from services.notify.__main__ import SERVICE
from services.notify.watching import Watch
from services.workflow.__main__ import SERVICE as WORKFLOW
from services.workflow.commands.seed import seed_organisation
from shared import positions
from shared.events import customer, orders, workflow
from shared.live import Hint
from shared.testing.space import Space

ORGANISATION = Path(__file__).parents[2] / "deploy" / "demo_organisation.yaml"
HEAD_OFFICE = {"S001"}  # sees the whole bank
SHANGHAI = HEAD_OFFICE | {"S012", "S011", "S015", "S016"}  # manager, head, approver, teller
BEIJING = HEAD_OFFICE | {"S022", "S021", "S024"}
TOPICS = ("customer.events", "order.lifecycle", "task.handoffs")
STAFF = sorted(SHANGHAI | BEIJING | {"S013", "S003"})


@pytest.fixture
def notify(space: Space):
    organisation = space.service(WORKFLOW)
    with organisation.database.transaction() as tx:
        seed_organisation(tx, ORGANISATION)
    while organisation.relay_once():
        pass
    service = space.service(SERVICE)
    service.runtime.learn_directory_end()
    service.drain()
    return service


def watchers(notify, audience: str) -> set[str]:
    """Who of the staff would get a hint of this audience now."""
    runtime = notify.runtime
    return {
        one
        for one in STAFF
        if Watch(runtime.database, runtime.directory, one).lets_through(audience)
    }


def managed(number: str, party_id: str, code: str, on: date = date(2026, 1, 1), **changes):
    return customer.ManagerChanged(
        party_id=party_id,
        customer_number=number,
        effective_on=on,
        manager_code=code,
        branch_code=code.split("-")[1],
        **changes,
    )


def task(kind=workflow.TaskAssigned, **changes):
    values = {
        "process_instance_id": "PI-1",
        "task_id": "T1",
        "step": "assess",
        "party_id": "P1",
        "owner_path": "/head/SH01/retail",
        "org_path": "/head/SH01/retail",
        "to_staff_id": "S012",
    }
    return kind(**{**values, **changes})


def say(space, notify, *facts):
    """In an order that grows, as that of each aggregate does."""
    with notify.database.read() as session:
        said = sum(
            p for topic in TOPICS for p in positions.stored(session, topic).values()
        )
    space.publish(*facts, sequence=said + 1)
    notify.drain()


def test_a_party_is_watched_by_those_whose_customer_it_is(space, notify):
    say(space, notify, managed("C1", "P1", "RM-SH01-1"), managed("C2", "P2", "RM-BJ01-1"))
    assert watchers(notify, "party:P1") == SHANGHAI
    assert watchers(notify, "party:P2") == BEIJING
    assert watchers(notify, "party:P3") == HEAD_OFFICE, "nobody has said where it is"


def test_the_manager_of_one_account_and_of_tomorrow_is_not_the_customers(space, notify):
    tomorrow = space.clock.bank_now().date() + timedelta(days=1)
    say(
        space,
        notify,
        managed("C1", "P1", "RM-SH01-1"),
        managed("C1", "P1", "RM-BJ01-2", account_number="A1"),
        managed("C1", "P1", "RM-BJ01-1", on=tomorrow),
    )
    assert watchers(notify, "party:P1") == SHANGHAI
    space.clock.bank += timedelta(days=1)
    assert watchers(notify, "party:P1") == BEIJING


def test_merged_parties_are_watched_by_both_sides_until_they_are_parted(space, notify):
    one, other = managed("C1", "P1", "RM-SH01-1"), managed("C2", "P2", "RM-BJ01-1")
    merged = {"merge_id": "M1", "customer_numbers": ("C1", "C2")}
    say(space, notify, one, other)
    for number in ("C1", "C2"):
        into = customer.IdentityMerged(
            party_id="P1", former_party_id="P2", customer_number=number, **merged
        )
        say(space, notify, into)
    assert watchers(notify, "party:P1") == SHANGHAI | BEIJING
    assert watchers(notify, "party:P2") == SHANGHAI | BEIJING
    apart = customer.IdentityUnmerged(
        party_id="P2", former_party_id="P1", customer_number="C2", **merged
    )
    say(space, notify, apart)
    assert watchers(notify, "party:P1") == SHANGHAI


def test_an_open_task_opens_its_party_while_it_is_open(space, notify):
    say(space, notify, managed("C1", "P1", "RM-SH01-1"), task())
    assert "S022" not in watchers(notify, "party:P1")
    handed = task(workflow.TaskHandedOff, to_staff_id="S022", from_staff_id="S012")
    say(space, notify, handed)
    assert watchers(notify, "party:P1") == SHANGHAI | {"S022"}
    done = task(workflow.TaskCompleted, from_staff_id="S022", to_staff_id=None, outcome_code="done")
    say(space, notify, done)
    assert watchers(notify, "party:P1") == SHANGHAI


def test_a_queue_opens_its_party_to_those_who_serve_it(space, notify):
    queued = task(to_staff_id=None, role="teller", party_id="P9")
    say(space, notify, queued)
    assert watchers(notify, "party:P9") == HEAD_OFFICE | {"S016"}
    say(space, notify, workflow.ProcessFinished(process_instance_id="PI-1", party_id="P9"))
    assert watchers(notify, "party:P9") == HEAD_OFFICE


def test_an_order_is_watched_by_its_owner_and_his_branch(space, notify):
    assert watchers(notify, "order:ORD-1") == HEAD_OFFICE
    submitted = orders.OrderSubmitted(
        order_id="ORD-1", party_id="P1", owner_id="S012", org_path="/head/SH01/retail",
        content_hash="h", maker_id="S012", amount_minor=1, currency="CNY",
    )  # fmt: skip
    say(space, notify, submitted)
    assert watchers(notify, "order:ORD-1") == SHANGHAI
    say(space, notify, task(order_id="ORD-1", to_staff_id="S022"))
    assert watchers(notify, "order:ORD-1") == SHANGHAI | {"S022"}


def test_a_process_is_watched_by_its_branch_and_all_who_worked_in_it(space, notify):
    say(space, notify, task(), task(workflow.TaskHandedOff, to_staff_id="S022"))
    done = task(workflow.TaskCompleted, from_staff_id="S022", to_staff_id=None, outcome_code="done")
    say(space, notify, done)
    seen = watchers(notify, "process:PI-1")
    assert seen == SHANGHAI | {"S022", "S003"}  # ops see the processes of the whole bank


def test_a_stream_tells_of_an_order_that_was_new_and_never_of_another_branchs(space, notify):
    """A page is open before its order was ever said: the first hint about it comes through."""
    heard: dict[str, list[str]] = {"S012": [], "S022": []}

    async def watch(staff_id: str) -> None:
        client = notify.client(staff_id)
        state = SimpleNamespace(runtime=notify.runtime, fanout=api.Fanout(notify.runtime.settings))
        request = SimpleNamespace(app=SimpleNamespace(state=state), headers={})
        assert client.get("/notices").status_code == 200
        runtime = notify.runtime
        actor = runtime.directory.actor(staff_id, runtime.clock.bank_now())
        ctx = api.Context(runtime, request, actor, "")
        answer = await api.stream(request, ctx, "order:ORD-1 party:P2 scores:all")
        async for chunk in answer.body_iterator:
            if chunk.startswith(("event: hint", "id: ")):
                data = next(x for x in chunk.splitlines() if x.startswith("data: "))
                heard[staff_id].append(json.loads(data[6:])["audience"])
                if heard[staff_id][-1] == "scores:all":
                    return

    async def both() -> None:
        tasks = [asyncio.create_task(watch(one)) for one in heard]
        await asyncio.sleep(1.0)
        hints = [Hint(a, "t", 0, 1, "t") for a in ("order:ORD-1", "party:P2", "scores:all")]
        say(
            space,
            notify,
            managed("C2", "P2", "RM-BJ01-1"),
            orders.OrderClosed(
                order_id="ORD-1", owner_id="S012", org_path="/head/SH01", outcome_code="settled"
            ),
        )
        notify.database.push(hints)
        await asyncio.wait_for(asyncio.gather(*tasks), 30)

    asyncio.run(both())
    assert {*heard["S012"]} == {"order:ORD-1", "scores:all"}
    assert {*heard["S022"]} == {"party:P2", "scores:all"}
