"""The precision of a rule: what staff found of its alerts, against the bank as a whole."""

from datetime import timedelta

from shared.events import workflow
from shared.events.fact import Cause
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.scoring_room import (
    HEAD,
    day,
    party,
    rows,
)
from tests.scoring_bank import ScoredBank

scoring, scored = scoring_room.scoring, scoring_room.scored


def outcome(space: Space, process: str, alert_ids: tuple[str, ...], code: str) -> None:
    space.publish(
        workflow.ProcessStarted(
            process_instance_id=process, party_id="P", alert_ids=alert_ids, definition="retention",
            version=1, cause=Cause(type="scoring.alert_raised.v1", id="x"),
        ),
        workflow.ProcessFinished(
            process_instance_id=process, alert_ids=alert_ids, outcome_code=code,
            text={"zh-CN": "已挽留", "en": "Kept"},
        ),
        source="guanxi/workflow",
    )  # fmt: skip


def test_the_precision_of_a_rule_is_what_staff_found(space, scoring, scored):
    for n in range(1, 5):
        scored.days(f"C{n}", day(0), day(60), 5, 1_000_000)
        party(space, f"P{n}", f"C{n}")
    party(space, "P5", "C5")
    scored.close_through(day(150))
    scored.score()
    scoring.drain()
    untold = scoring.client(HEAD).get("/alerts/precision").json()["items"]
    assert [(one["alerts"], one["lift_ppm"], one["lead_days"]) for one in untold] == [
        (4, None, None)
    ]
    assert "尚无可比" in scoring.client(HEAD).get("/risk").text
    ids = [r[0] for r in rows(scoring, "select alert_id from alerts order by party_id")]
    assert len(ids) == 4
    for n, code in enumerate(("kept", "lost", "false_alarm")):
        outcome(space, f"PI-{n}", (ids[n],), code)
    scoring.drain()
    client = scoring.client(HEAD)
    (told,) = client.get("/alerts/precision").json()["items"]
    days = "select (finished_at at time zone 'Asia/Shanghai')::date - (at at time zone" \
           " 'Asia/Shanghai')::date from processes join"
    leads = rows(scoring, f"{days} process_alerts using (process_instance_id) join alerts using"
                          " (alert_id) where outcome_code <> 'false_alarm'")  # fmt: skip
    assert told == {
        "rule": "silence", "alerts": 4, "open": 4, "confirmed": 2, "false_alarms": 1,
        "precision_ppm": 666_666, "real_customers": 2, "customers": 5,
        "lift_ppm": 2 * 5 * 1_000_000 // (3 * 2), "lead_days": sum(lead for (lead,) in leads) / 2,
    }  # fmt: skip
    found = {a["alert_id"]: a["outcome_code"] for a in client.get("/alerts").json()["items"]}
    assert found == {ids[0]: "kept", ids[1]: "lost", ids[2]: "false_alarm", ids[3]: None}
    page = client.get("/risk").text
    assert "67%" in page
    assert "各规则在全行的效果" in page
    assert "1.7 倍" in page
    assert "已挽留" in page
    assert client.get(f"/risk/alerts/{ids[0]}").status_code == 200


def test_what_was_found_after_the_last_word_on_a_rule_is_not_in_its_base_rate(
    space: Space, scoring: ServiceUnderTest, scored: ScoredBank
) -> None:
    for number in ("C1", "C2"):
        scored.days(number, day(0), day(60), 5, 1_000_000)
    scored.days("C3", day(0), day(90), 6, 2_000_000)
    scored.book("C3", -28_000_000, day(91))
    scored.days("C3", day(101), day(150), 6, 1000)
    for n in (1, 2, 3):
        party(space, f"P{n}", f"C{n}")
    scored.close_through(day(150))
    scored.score()
    scoring.drain()
    found = rows(scoring, "select rule, party_id, alert_id from alerts where valid")
    alerts = {(rule, of): alert_id for rule, of, alert_id in found}
    said = (("silence", "P1", "kept"), ("outflow", "P3", "lost"))
    assert set(alerts) == {("silence", "P1"), ("silence", "P2"), ("outflow", "P3")}
    for n, (rule, of, code) in enumerate(said):
        space.clock.bank += timedelta(days=3)
        outcome(space, f"PI-{n}", (alerts[rule, of],), code)
        scoring.drain()

    def base() -> dict[str, int]:
        told = scoring.client(HEAD).get("/alerts/precision").json()["items"]
        return {one["rule"]: one["real_customers"] for one in told}

    assert base() == {"silence": 1, "outflow": 2}, "the outflow was found after the last silence"
    space.clock.bank += timedelta(days=3)
    outcome(space, "PI-last", (alerts["silence", "P2"],), "false_alarm")
    scoring.drain()
    assert base() == {"silence": 2, "outflow": 2}, "the time of a rule ends with any word on it"
