"""An open task opens its alert and its order to who has it on the desk, and nothing else, while it
is open: scoring and orders, each from its own copy of `task.handoffs`."""

from datetime import UTC, datetime

import pytest

from services.scoring.__main__ import SERVICE as SCORING
from services.scoring.tables import AlertRow, PartyFigureRow
from shared.events import customer, workflow
from shared.policy import Actor, Scope
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import orders_room
from tests.integration.orders_room import MAKER, placed

orders_service, room = orders_room.orders_service, orders_room.room
SEEN, UNSEEN = 200, 404


@pytest.fixture(scope="module")
def space(servers):
    found = Space(servers)
    yield found
    found.close()


def away(staff_id: str, *permissions: str) -> Actor:
    """A member of staff of another branch, whose scope reaches nothing of this one."""
    scopes = tuple(Scope(p, "subtree", "/head/b2") for p in permissions)
    return Actor(staff_id, permissions=frozenset(permissions), scopes=scopes, org_path="/head/b2")


CLERK = away("S091", "order.view", "order.edit", "order.collect", "alert.view", "score.view")
OTHER = away("S092", "order.view", "alert.view", "score.view")


class Task:
    """One task of one process instance, as workflow tells of it."""

    def __init__(self, space: Space, service: ServiceUnderTest, name: str, **about: str) -> None:
        self._space, self._service = space, service
        self._fields = {
            "process_instance_id": f"PI-{name}", "task_id": f"T-{name}", "step": "assess", **about
        }  # fmt: skip
        self._said = 0

    def say(self, kind: type[workflow.TaskFact], to: str | None, **more: str) -> None:
        fact = kind(**self._fields, to_staff_id=to, **more)
        self._publish(fact)

    def finish(self) -> None:
        instance_id = self._fields["process_instance_id"]
        self._publish(workflow.ProcessFinished(process_instance_id=instance_id))

    def repeat_the_first(self, to: str) -> None:
        """Comes late: a replayed letter."""
        first = workflow.TaskAssigned(**self._fields, to_staff_id=to)
        self._space.publish(first, sequence=1, source="guanxi/workflow")
        self._service.drain()

    def _publish(self, fact: workflow.ProcessFact) -> None:
        self._said += 1
        self._space.publish(fact, sequence=self._said, source="guanxi/workflow")
        self._service.drain()


# Orders --------------------------------------------------------------------------------------


def order_pages(room: ServiceUnderTest, actor: Actor, order_id: str) -> set[int]:
    client = room.client(actor)
    paths = (f"/orders/{order_id}", f"/orders/{order_id}/panel", f"/api/orders/{order_id}")
    return {client.get(path).status_code for path in paths}


def test_a_task_on_an_order_opens_its_page_until_it_is_done(space, room):
    order_id, other_id = placed(room)["order_id"], placed(room)["order_id"]
    assert order_pages(room, CLERK, order_id) == {UNSEEN}
    task = Task(space, room, "a", order_id=order_id)
    task.say(workflow.TaskAssigned, CLERK.id)
    assert order_pages(room, CLERK, order_id) == {SEEN}
    assert order_pages(room, CLERK, other_id) == {UNSEEN}
    assert order_pages(room, OTHER, order_id) == {UNSEEN}

    task.say(workflow.TaskHandedOff, OTHER.id, from_staff_id=CLERK.id)
    task.repeat_the_first(CLERK.id)
    assert order_pages(room, CLERK, order_id) == {UNSEEN}
    assert order_pages(room, OTHER, order_id) == {SEEN}
    task.say(workflow.TaskCompleted, None, from_staff_id=OTHER.id, outcome_code="done")
    assert order_pages(room, OTHER, order_id) == {UNSEEN}


def test_to_see_an_order_is_not_to_change_it(space, room):
    order_id = placed(room)["order_id"]
    Task(space, room, "b", order_id=order_id).say(workflow.TaskAssigned, CLERK.id)
    client = room.client(CLERK)
    page = client.get(f"/orders/{order_id}").text
    assert f"/orders/orders/{order_id}/edit" not in page
    assert client.get(f"/orders/{order_id}/edit").status_code == UNSEEN
    assert client.post(f"/orders/{order_id}/cancel").status_code == UNSEEN
    assert client.post(f"/orders/{order_id}/remind-again").status_code == UNSEEN
    edit = f"/orders/orders/{order_id}/edit"
    assert edit in room.client(MAKER).get(f"/orders/{order_id}").text


def test_a_task_on_a_party_opens_its_orders_and_no_others(space, room):
    order_id = placed(room)["order_id"]
    client = room.client(CLERK)
    task = Task(space, room, "c", party_id="P1")

    def listed(query: str = "") -> set[str]:
        return {o["order_id"] for o in client.get(f"/api/orders{query}").json()["orders"]}

    assert order_id not in listed("?party=P1")
    task.say(workflow.TaskAssigned, CLERK.id)
    assert order_id in listed("?party=P1")
    assert listed() == set(), "the list of all stays that of the scope"
    assert order_id in client.get("/orders?party=P1").text
    assert order_pages(room, CLERK, order_id) == {SEEN}
    task.finish()  # withdrawn with its process: the task has no fact of its own
    assert order_id not in listed("?party=P1")
    assert order_pages(room, CLERK, order_id) == {UNSEEN}


# Scoring -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scoring(space: Space) -> ServiceUnderTest:
    """Two parties of a branch that is not CLERK's, each with an alert."""
    service = space.service(SCORING)
    for number, party_id in (("C71", "P71"), ("C72", "P72")):
        space.publish(
            customer.PartyRecorded(
                party_id=party_id, customer_number=number, kind="person", customer_numbers=(number,)
            )
        )
    service.drain()
    with service.database.transaction() as tx:
        for n in ("71", "72"):
            tx.session.merge(PartyFigureRow(party_id=f"P{n}", numbers=1))
            tx.session.add(
                AlertRow(
                    alert_id=f"a{n}", party_id=f"P{n}", rule="silence", episode=1,
                    at=datetime(2026, 3, 1, tzinfo=UTC), valid=True, told=True,
                    customer_number=f"C{n}", risk_ppm=700_000, contribution_minor=1_200_000,
                    at_stake_minor=1_200_000, margin_at_risk_minor=840_000,
                    recoverable_minor=420_000, currency="CNY",
                    terms={}, event_ids=[], model_version="1",
                    text={"zh-CN": "41 天没有交易", "en": "No transaction for 41 days"},
                )
            )  # fmt: skip
    return service


def alert_pages(scoring: ServiceUnderTest, actor: Actor, n: str) -> set[int]:
    client = scoring.client(actor)
    paths = (
        f"/risk/alerts/a{n}", f"/risk/alerts/a{n}/panel", f"/contribution/parties/P{n}",
        f"/parties/P{n}/score",
    )  # fmt: skip
    return {client.get(path).status_code for path in paths}


@pytest.mark.parametrize("about", [{"party_id": "P71"}, {"customer_number": "C71"}])
def test_a_task_on_a_party_opens_its_alert_until_it_is_done(space, scoring, about):
    """By the number too: the party that a task named may have become another one by a merge."""
    task = Task(space, scoring, f"d-{next(iter(about))}", **about)
    assert alert_pages(scoring, CLERK, "71") == {UNSEEN}
    task.say(workflow.TaskAssigned, CLERK.id)
    assert alert_pages(scoring, CLERK, "71") == {SEEN}
    assert alert_pages(scoring, CLERK, "72") == {UNSEEN}
    assert alert_pages(scoring, OTHER, "71") == {UNSEEN}
    client = scoring.client(CLERK)
    assert client.get("/alerts").json()["items"] == [], "the list stays that of the scope"
    task.say(workflow.TaskCompleted, None, from_staff_id=CLERK.id, outcome_code="done")
    assert alert_pages(scoring, CLERK, "71") == {UNSEEN}
