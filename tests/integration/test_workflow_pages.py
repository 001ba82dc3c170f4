"""The pages: what they show to whom, in both languages, and that forms do what they say."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from services.workflow.__main__ import SERVICE
from services.workflow.commands.seed import seed_organisation
from services.workflow.tables import TaskRow
from shared.events.bank import WentLive
from shared.events.customer import ManagerChanged
from shared.events.orders import OrderSubmitted
from shared.events.scoring import AlertRaised
from shared.testing.space import ServiceUnderTest, Space

ORGANISATION = Path(__file__).parents[2] / "deploy" / "demo_organisation.yaml"
CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.fixture
def workflow(space: Space) -> Iterator[ServiceUnderTest]:
    service = space.service(SERVICE)
    with service.database.transaction() as tx:
        seed_organisation(tx, ORGANISATION)
    space.publish(WentLive(on=date(2026, 3, 1)))
    space.publish(
        ManagerChanged(
            party_id="P1", customer_number="C1", manager_code="RM-SH01-1",
            effective_on=date(2025, 1, 1),
        ),
        OrderSubmitted(
            order_id="O1", content_hash="h", maker_id="S012", amount_minor=5_000_000,
            currency="CNY", org_path="/head/SH01/retail",
            text={"zh-CN": "理财产品 5 万元", "en": "Fund units"},
        ),
    )  # fmt: skip
    service.drain()
    space.publish(
        AlertRaised(
            alert_id="a1", party_id="P1", rule="silence", episode=1,
            at=datetime(2026, 3, 2, 1, 0, tzinfo=UTC), risk_ppm=700_000,
            contribution_minor=1_200_000, margin_at_risk_minor=900_000, currency="CNY", terms=(),
            text={"zh-CN": "41 天没有交易,平时间隔 9 天", "en": "No transaction for 41 days"},
        )
    )  # fmt: skip
    service.drain()
    yield service


def the_task(service: ServiceUnderTest, step: str = "assess") -> TaskRow:
    with service.database.read() as session:
        return session.scalars(
            select(TaskRow).where(TaskRow.step_id == step, TaskRow.completed_at.is_(None))
        ).one()


def visible(html: str) -> str:
    """The words of a page, without markup, data and ids."""
    body = re.sub(r"<script.*?</script>", " ", html, flags=re.S)
    return re.sub(r"<[^>]+>", " ", body)


def test_the_chart_of_the_demos_organisation_is_a_small_page(workflow: ServiceUnderTest) -> None:
    """What an administrator can set for a person is asked for when it is opened."""
    page = workflow.client("S002").get("/organisation").text
    people = re.findall(r'hx-get="/workflow(/organisation/staff/S\d+/forms)"', page)
    assert len(people) == len(set(people)) > 30
    assert len(page.encode()) < 60_000
    forms = workflow.client("S002").get("/organisation/staff/S013/forms").text
    assert 'hx-post="/workflow/organisation/staff/S013/limits"' in forms
    assert 'hx-post="/workflow/organisation/staff/S013/capacity"' in forms
    assert "/forms" not in workflow.client("S011").get("/organisation").text


def test_desk_shows_reason_money_and_two_buttons(workflow: ServiceUnderTest) -> None:
    page = workflow.client("S012").get("/desk")
    assert page.status_code == 200
    assert "41 天没有交易" in page.text
    assert 'data-label="party:P1"' in page.text
    assert "办理" in page.text
    assert "转交" in page.text
    assert "queue:relationship_manager:/head/SH01/retail" in page.text
    assert len(page.text.encode()) < 60_000
    assert "O1" in workflow.client("S011").get("/desk/lists").text


@pytest.mark.parametrize("path", ["/desk", "/processes?state=all", "/organisation", "process"])
def test_pages_speak_the_reader_s_language(workflow: ServiceUnderTest, path: str) -> None:
    task = the_task(workflow)
    address = f"/processes/{task.instance_id}" if path == "process" else path
    client = workflow.client("S011")
    chinese = client.get(address)
    assert chinese.status_code == 200, chinese.text
    english = client.get(address, headers={"x-guanxi-language": "en"})
    assert english.status_code == 200
    words = [w for w in CHINESE.split(visible(english.text)) if w]
    leftovers = CHINESE.findall(visible(english.text))
    people = set(
        "陈国栋何志远宋佳沈静怡王磊李思雨赵明轩顾文琪杨柳张建华刘晨曦孙博文林秀兰黄俊杰周雅婷吴晓峰吴佩兰郑一鸣中"
            "冯敏方邓彭叶娟然群琳强丽慧小蒋唐许诗郭桐宜立罗田浩高"
    )
    assert words
    assert set(leftovers) <= people


def test_process_page_carries_tokens_and_drawing(workflow: ServiceUnderTest) -> None:
    task = the_task(workflow)
    client = workflow.client("S012")
    page = client.get(f"/processes/{task.instance_id}").text
    heard = re.search(r'id="process-panel"[^>]*hx-trigger="([^"]*)"', page)[1]
    assert f"guanxi:process:{task.instance_id} from:body" in heard
    assert "guanxi:party:P1 from:body" in heard  # an alert that clears moves the page too
    assert "/scoring/risk/alerts/a1" in page
    checker = workflow.client("S003").get(f"/processes/{task.instance_id}").text
    assert "party:P1 " not in re.search(r'data-audiences="([^"]*)"', checker)[1] + " "
    assert "/scoring/risk/alerts/a1" not in checker  # a door that would answer 403 is none
    tokens = re.search(r"""id="process-tokens" data-tokens='([^']*)'""", page)[1]
    assert json.loads(tokens) == [
        {"step": "assess", "marker": "token-here", "holder": "王磊", "hint": "2026-03-02 10:00"}
    ]
    drawing = client.get(f"/processes/{task.instance_id}/diagram")
    assert "核实预警" in drawing.text
    english = client.get(
        f"/processes/{task.instance_id}/diagram", headers={"x-guanxi-language": "en"}
    )
    assert 'name="Assess the alert"' in english.text


def test_form_completes_the_step_and_gives_it_to_the_chosen(workflow: ServiceUnderTest) -> None:
    task = the_task(workflow)
    base = f"/processes/{task.instance_id}/tasks/{task.task_id}"
    form = {"outcome": "contact", "next_staff_id": "S013", "next_due_at": "2026-03-06T17:00"}
    answer = workflow.client("S012").post(f"{base}/complete", data=form)
    assert answer.status_code == 200, answer.text
    following = the_task(workflow, "contact")
    assert following.staff_id == "S013"
    assert following.due_at == datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
    assert 'data-label="staff:S013"' in answer.text
    past = workflow.client("S013").post(
        f"/processes/{task.instance_id}/tasks/{following.task_id}/complete",
        data={"outcome": "reached", "next_due_at": "2020-01-01T00:00"},
    )
    assert past.status_code == 422


def test_picker_shows_load_and_absence_and_desk_hands_on(workflow: ServiceUnderTest) -> None:
    task = the_task(workflow)
    away = {"deputy_staff_id": "S013", "from_on": "2026-03-01", "until_on": "2026-03-09"}
    assert workflow.client("S014").post("/desk/delegation", data=away).status_code == 200
    client = workflow.client("S012")
    picker = client.get(f"/desk/tasks/{task.task_id}/picker").text
    assert "离岗至 2026-03-09" in picker
    answer = client.post(f"/desk/tasks/{task.task_id}/hand-off", data={"to_staff_id": "S014"})
    assert answer.status_code == 200, answer.text
    assert the_task(workflow).staff_id == "S013"  # the deputy of who is away
    assert "我转出的" in answer.text


def test_limit_is_set_by_the_administrator_alone(space: Space, workflow: ServiceUnderTest) -> None:
    form = {"permission": "order.approve", "amount": "1,000,000.00", "from_on": "2026-03-02"}
    assert (
        workflow.client("S012").post("/organisation/staff/S015/limits", data=form).status_code
        == 403
    )
    answer = workflow.client("S002").post("/organisation/staff/S015/limits", data=form)
    assert answer.status_code == 200, answer.text
    wrong = workflow.client("S002").post(
        "/organisation/staff/S015/limits", data={**form, "amount": "1.005"}
    )
    assert wrong.status_code == 422
    workflow.drain()
    said = [e.data for e in space.read("staff.directory") if e.type == "workflow.limit_set.v1"]
    assert said[-1].staff_id == "S015"
    assert said[-1].amount_minor == 100_000_000


def test_pages_are_closed_to_who_has_no_permission(workflow: ServiceUnderTest) -> None:
    task = the_task(workflow)
    stranger = workflow.client("S032")
    process = f"/processes/{task.instance_id}"
    picker = f"/desk/tasks/{task.task_id}/picker"
    for path in (process, f"{process}/diagram", f"{process}/panel", picker):
        assert stranger.get(path).status_code == 404, path
    assert stranger.get("/ops").status_code == 403
    assert workflow.client("S003").get("/ops").status_code == 200
    assert workflow.client("nobody").get("/desk").status_code == 401
    assert "41 天" not in stranger.get("/processes?state=all").text


def test_labels_are_names_of_staff(workflow: ServiceUnderTest) -> None:
    answer = workflow.client("S012").get("/labels?ids=staff:S011,staff:S999,party:P1")
    assert answer.json() == {"staff:S011": "沈静怡"}
