"""What a service put aside, as operations see it: listed, replayed, given up, with a trail."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session

from services.customer.__main__ import SERVICE
from shared import positions
from shared.db import DeadLetterRow
from shared.policy import Actor
from shared.testing.space import ServiceUnderTest, Space

PERMISSIONS = frozenset({"ops.view", "ops.act"})


@pytest.fixture
def service(space: Space) -> Iterator[ServiceUnderTest]:
    """Two messages that nobody can read."""
    found = space.service(SERVICE)
    for message in (b"not json", b"neither"):
        space.sender.send("bank.events", b"C1", message).result(10)
    found.drain()
    yield found


def letters(service: ServiceUnderTest) -> dict[int, str]:
    with service.database.read() as session:
        return {row.id: row.state for row in session.scalars(select(DeadLetterRow))}


@pytest.mark.parametrize(("language", "kind"), [("zh-CN", "死信"), ("en", "Dead")])
def test_the_panel_lists_what_waits_in_both_languages(
    service: ServiceUnderTest, language: str, kind: str
) -> None:
    page = service.client(Actor("S900", permissions=PERMISSIONS, language=language))
    panel = page.get("/ops/fragment")
    assert panel.status_code == 200, panel.text
    assert panel.text.count(f"</span>{kind}</span>") == len(letters(service)) == 2
    for one in letters(service):
        assert f"/customer/ops/letters/{one}/replay" in panel.text
    watcher = service.client(Actor("S901", permissions=frozenset({"ops.view"})))
    assert "/replay" not in watcher.get("/ops/fragment").text


def test_each_decision_is_taken_once_and_stays_in_the_audit(service: ServiceUnderTest) -> None:
    first, second = letters(service)
    ops = service.client(Actor("S900", permissions=PERMISSIONS))
    assert ops.post(f"/ops/letters/{first}/replay").status_code == 202
    asked = ops.get("/ops/fragment").text
    assert f"letters/{first}/replay" not in asked  # the listener does it; pressing again is idle
    assert "已要求重放" in asked
    assert f"letters/{second}/replay" in asked
    service.drain()
    assert letters(service)[first] == "waiting"  # still unreadable: it waits for a person again

    assert ops.post(f"/ops/letters/{second}/discard", data={"reason": ""}).status_code == 422
    said = {"reason": "the bank took it back"}
    assert ops.post(f"/ops/letters/{second}/discard", data=said).status_code == 200
    assert ops.post(f"/ops/letters/{second}/discard", data=said).status_code == 409
    assert f"letters/{second}/" not in ops.get("/ops/fragment").text
    with service.database.read() as session:
        trail = session.execute(text("select actor_id, action, detail from audit order by at"))
        assert [(who, what, detail.get("reason")) for who, what, detail in trail] == [
            ("S900", "dead_letter.replay", None),
            ("S900", "dead_letter.discard", "the bank took it back"),
        ]


def test_reasons_are_said_in_the_readers_language_and_kept_as_found(
    service: ServiceUnderTest,
) -> None:
    ops = service.client(Actor("S900", permissions=PERMISSIONS))
    page = ops.get("/ops/fragment").text
    assert "无法按 JSON 读取" in page
    assert '<code lang="en">not JSON: JSON is malformed' in page  # for who searches the logs
    letter = ops.get("/ops/state").json()["letters"][0]
    assert letter["reason"].startswith("not JSON: JSON is malformed")
    assert letter["reason_code"] == "json_at"
    assert f"从第 {letter['reason_values']['at']} 字节起" in page


def test_letters_are_paged_and_all_are_counted(
    service: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared import ops

    monkeypatch.setattr(ops, "PAGE_ROWS", 1)
    first, second = letters(service)
    client = service.client(Actor("S900", permissions=PERMISSIONS))
    page = client.get("/ops/state").json()
    assert [one["id"] for one in page["letters"]] == [first]
    assert (page["letters_count"], page["next"]) == (2, first)
    panel = client.get("/ops/fragment").text
    assert f"/workflow/ops?service=customer&amp;after={first}" in panel
    page = client.get("/ops/state", params={"after": first}).json()
    assert [one["id"] for one in page["letters"]] == [second]
    assert page["next"] is None
    assert client.get("/ops/state", params={"after": "x"}).status_code == 422


@contextmanager
def applied_between_both_sides(service: ServiceUnderTest, space: Space) -> Iterator[None]:
    """A message is applied when one side of the equation is read and the other is not yet."""
    done: list[str] = []

    def apply(_by: object, _cursor: object, statement: str, *_: object) -> None:
        if "sum(positions.next_offset" in statement and not done:
            done.append(statement)
            space.sender.send("bank.events", b"C1", b"no event").result(10)
            service.drain()

    event.listen(service.database.engine, "after_cursor_execute", apply)
    yield
    event.remove(service.database.engine, "after_cursor_execute", apply)
    assert done


def test_what_is_applied_while_both_sides_are_read_is_no_difference(
    service: ServiceUnderTest, space: Space
) -> None:
    client = service.client(Actor("S901", permissions=frozenset({"ops.view"})))
    with applied_between_both_sides(service, space):
        lines = client.get("/ops/state").json()["reconciliation"]
    assert {line["difference"] for line in lines} == {0}
    with applied_between_both_sides(service, space):
        scraped = client.get("/metrics").text
    said = re.findall(r"^guanxi_reconciliation_difference{.*} (.*)$", scraped, re.MULTILINE)
    assert set(said) == {"0.0"}
    with applied_between_both_sides(service, space), Session(service.database.engine) as session:
        lines = positions.reconcile(session)  # a control: this session reads at two moments
    assert {line["difference"] for line in lines} == {0, -1}


def test_what_is_not_applied_yet_is_shown_by_topic(service: ServiceUnderTest, space: Space) -> None:
    """Asked by a thread of the process, so a broker that is away holds no page up."""
    client = service.client(Actor("S901", permissions=frozenset({"ops.view"}), language="en"))

    def behind() -> dict[str, int | None]:
        lines = client.get("/ops/state").json()["reconciliation"]
        return {line["topic"]: line["behind"] for line in lines}

    assert behind()["bank.events"] is None
    assert "unknown" in client.get("/ops/fragment").text
    service.runtime.behind = service.runtime.count_behind()
    assert behind()["bank.events"] == 0
    for n in range(3):
        space.sender.send("bank.events", b"C1", b"%d" % n).result(10)
    service.runtime.behind = service.runtime.count_behind()
    assert behind()["bank.events"] == 3
    panel = client.get("/ops/fragment").text
    assert "Still to apply" in panel
    assert re.search(r'<td class="text-end"><[^>]+>3<', panel)
    service.drain()
    service.runtime.behind = service.runtime.count_behind()
    assert behind()["bank.events"] == 0
