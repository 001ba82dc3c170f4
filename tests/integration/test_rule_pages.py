"""The pages of rehearsal: what can be typed, what is said of it, and who may do what."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from services.scoring import rehearser, risk_model, risk_plan
from services.scoring.commands import rehearsals
from shared.events.bank import SourceDescribed
from shared.policy import Actor, Scope
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.scoring_room import a_small_bank, day, rows
from tests.risk_live import hand_made
from tests.scoring_bank import FIRST_DAY, SOURCE, ScoredBank

scoring = scoring_room.scoring
EVERYTHING = frozenset({"rules.view", "rules.propose", "rules.accept"})


def officer(staff_id: str, language: str = "en", *, only: frozenset[str] = EVERYTHING) -> Actor:
    return Actor(
        staff_id, permissions=only, scopes=tuple(Scope(p, "all") for p in sorted(only)),
        language=language,
    )  # fmt: skip


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "first.json"
    risk_model.save(hand_made("CA-P"), file)
    monkeypatch.setenv("GUANXI_RISK_MODEL", str(file))
    return file


@pytest.fixture
def bank(space: Space, scoring: ServiceUnderTest, model: Path) -> Iterator[ScoredBank]:
    found = ScoredBank(space, risk_plan.plan_of(hand_made("CA-P")))
    space.publish(
        SourceDescribed(source=SOURCE, closes_days=True, active_from=FIRST_DAY),
        source=SOURCE,
    )
    a_small_bank(found, space)
    found.score()
    scoring.drain()
    totals: dict[int, Any] = {
        number: partition.closes.watermark
        for number, partition in found.engine.partitions.items()
    }
    for number, watermark in totals.items():
        said = {"partition": number, "position": 1, "count": 0, "sum_minor": {},
                "watermark": watermark}  # fmt: skip
        space.sender.send("scoring.totals", b"%d" % number, msgspec.json.encode(said), number)
    space.sender.flush(10)
    scoring.drain()
    yield found
    found.shut()


def rehearse(scoring: ServiceUnderTest) -> None:
    with scoring.database.transaction() as tx:
        claimed = rehearsals.claim(tx, "one")
    assert claimed is not None
    rehearser.run(scoring.runtime, threading.Event(), claimed)


FORM = {"outflow_ppm": "70", "outflow_clear_ppm": "80", "silence_gaps_milli": "2.5",
        "silence_days_min": "10", "reason": "Warn earlier of both"}  # fmt: skip


def test_a_set_is_proposed_rehearsed_and_accepted_by_another(space, scoring, bank):
    maker, checker = scoring.client(officer("S004")), scoring.client(officer("S005"))
    listed = maker.get("/rules").text
    assert 'data-key="0" data-state="live"' in listed
    assert 'value="50"' in listed, "half of the usual balance, in percent"
    made = maker.post("/forms/rules", data=FORM)
    assert (made.status_code, made.headers["hx-redirect"]) == (204, "/scoring/rules/1")
    page = maker.get("/rules/1").text
    assert "Not rehearsed yet" in page
    assert page.count("data-change") == 4
    assert "Outflow ends at this share, in percent</td><td class=\"text-end\">70</td>" in page
    asked = maker.post("/forms/rules/1/rehearse", data={"from_on": day(30).isoformat()})
    assert "data-running" in asked.text
    assert 'hx-trigger="every 2s"' in asked.text
    assert maker.post("/forms/rules/1/rehearse", data={"from_on": "2025-07-01"}).status_code == 422
    rehearse(scoring)
    done = maker.get("/rules/1/panel").text
    assert "data-running" not in done
    counted = {(rule, side): one["alerts"] for rule, figures in rows(
        scoring, "select result->'rules' from rehearsals")[0][0].items()
        for side, one in figures.items() if side != "both"}  # fmt: skip
    assert counted["silence", "proposed"] > 0
    for (rule, side), alerts in counted.items():
        assert f'data-key="{rule}/{side}" data-alerts="{alerts}"' in done
    assert "data-months=" in done
    assert "data-dated-before" not in done, "all of them are dated in the days asked for"
    with scoring.database.transaction() as tx:
        tx.session.execute(text(
            "update rehearsals set result = jsonb_set(result, '{months,2024-12}',"
            " '{\"now\": 1, \"proposed\": 2}')"
        ))  # fmt: skip
    older = maker.get("/rules/1/panel").text
    assert 'data-month="2024-12"' in older
    assert "stands in the month of its own date" in older
    assert "data-own" in done, "the maker is told that somebody else decides"
    own = maker.post("/forms/rules/1/accept", data={"effective_on": "2027-01-01"})
    assert own.status_code == 422
    assert "somebody else decides" in own.text
    early = checker.post("/forms/rules/1/accept", data={"effective_on": day(150).isoformat()})
    assert early.status_code == 422
    assert "The first day possible is" in early.text
    accepted = checker.post("/forms/rules/1/accept", data={"effective_on": "2027-01-01"})
    assert accepted.status_code == 200
    assert 'data-state="accepted"' in accepted.text
    assert 'data-effective="2027-01-01"' in accepted.text
    assert "<td>Of now</td>" in accepted.text
    again = checker.post("/forms/rules/1/reject", data={"reason": "I have changed my mind"})
    assert again.status_code == 422
    while scoring.relay_once():
        pass
    (told,) = space.read("scoring.rules")
    assert told.data.set_id == "set-1"
    assert 'name="outflow_ppm" inputmode="decimal" maxlength="20" value="70"' in (
        maker.get("/rules").text
    )
    with scoring.database.transaction() as tx:
        tx.session.execute(text("update control_totals set watermark_on = '2027-01-01'"))
    live = maker.get("/rules/1").text
    assert 'data-state="live"' in live
    assert "<td>Before</td>" in live
    assert "Of now" not in live, "the rules that it was rehearsed beside are no longer"


def test_a_set_of_before_another_was_accepted_is_proposed_again(scoring, bank):
    """A set is whole: accepted as it is, it would silently undo what the other one changed."""
    maker, checker = scoring.client(officer("S004")), scoring.client(officer("S005"))
    outflow = {"outflow_ppm": "70", "outflow_clear_ppm": "80", "reason": "Warn earlier of outflow"}
    silence = {"silence_days_min": "10", "reason": "Warn earlier of silence"}

    def proposed(number: int, form: dict[str, str]) -> None:
        assert maker.post("/forms/rules", data=form).status_code == 204
        maker.post(f"/forms/rules/{number}/rehearse", data={"from_on": day(30).isoformat()})
        rehearse(scoring)

    def accepted(number: int, on: str, language: str = "en") -> Any:
        client = scoring.client(officer("S005", language))
        return client.post(f"/forms/rules/{number}/accept", data={"effective_on": on})

    proposed(1, outflow)
    proposed(2, silence)
    assert "data-overtaken" not in checker.get("/rules/2").text
    assert accepted(1, "2027-01-01").status_code == 200
    assert "data-overtaken" not in checker.get("/rules/1").text
    page = checker.get("/rules/2").text
    assert 'data-overtaken="1"' in page
    assert "/forms/rules/2/accept" not in page
    for language, why in (("en", "Set 1 was accepted since"), ("zh-CN", "第 1 号规则集已通过，请")):
        refused = accepted(2, "2027-02-01", language)
        assert (refused.status_code, why in refused.text) == (422, True)
    maker.post("/forms/rules/2/rehearse", data={"from_on": day(30).isoformat()})
    rehearse(scoring)
    assert accepted(2, "2027-02-01").status_code == 422, "what it changes is not what is shown"
    proposed(3, silence)
    assert accepted(3, "2027-02-01").status_code == 200
    changes = rows(scoring, "select detail->'changes' from audit where action = 'rule_set.accept'"
                            " order by id")  # fmt: skip
    assert [sorted(found) for (found,) in changes] == [
        ["outflow_clear_ppm", "outflow_ppm"], ["silence_days_min"],
    ]  # fmt: skip


def test_a_form_that_was_opened_before_an_acceptance_shows_the_figures_of_now(scoring, bank):
    """Sent as it stands it would put back what the accepted set changed."""
    maker = scoring.client(officer("S004"))
    opened = {"base": "0", "outflow_ppm": "50", "outflow_clear_ppm": "60",
              "silence_days_min": "10", "reason": "Warn earlier of silence"}  # fmt: skip
    made = {"outflow_ppm": "70", "outflow_clear_ppm": "80", "reason": "Warn earlier of outflow"}
    assert maker.post("/forms/rules", data=made).status_code == 204
    maker.post("/forms/rules/1/rehearse", data={"from_on": day(30).isoformat()})
    rehearse(scoring)
    checker = scoring.client(officer("S005"))
    on = {"effective_on": "2027-01-01"}
    assert checker.post("/forms/rules/1/accept", data=on).status_code == 200
    for base in ("0", "7", "nonsense"):
        again = maker.post("/forms/rules", data={**opened, "base": base})
        assert (again.status_code, "Set 1 was accepted since" in again.text) == (422, True)
        assert 'name="base" value="1"' in again.text
        assert 'id="silence_days_min"' in again.text
        assert "Warn earlier of silence</textarea>" in again.text, "what was typed stays"
    for name, shown in (("outflow_ppm", "70"), ("silence_days_min", "10")):
        found = maker.post("/forms/rules", data=opened).text
        assert f'name="{name}" inputmode="decimal" maxlength="20" value="{shown}"' in found
    sent = {**opened, "base": "1", "outflow_ppm": "70", "outflow_clear_ppm": "80"}
    assert maker.post("/forms/rules", data=sent).status_code == 204
    changed = "select changes from rule_sets where number = 2"
    assert list(rows(scoring, changed)[0][0]) == ["silence_days_min"]


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_what_cannot_be_taken_is_said_at_its_field(scoring, bank, language):
    maker = scoring.client(officer("S004", language))
    told = {
        ("outflow_ppm", "half"): {"zh-CN": "这不是数字", "en": "This is no number"},
        ("outflow_ppm", "NaN"): {"zh-CN": "这不是数字", "en": "This is no number"},
        ("outflow_ppm", "9e999999"): {"zh-CN": "这不是数字", "en": "This is no number"},
        ("silence_days_min", "1.5"): {"zh-CN": "小数位数过多", "en": "Too many digits"},
        ("silence_days_max", "5"): {"zh-CN": "超出范围", "en": "Out of bounds"},
        ("score.0.raise_ppm", "20"): {"zh-CN": "超出范围", "en": "Out of bounds"},
    }
    for (name, value), said in told.items():
        answer = maker.post("/forms/rules", data={**FORM, name: value})
        assert answer.status_code == 422
        assert f'id="{name}-error">{said[language]}' in answer.text
        assert f'value="{value}"' in answer.text, "what was typed stays"
    short = maker.post("/forms/rules", data={**FORM, "reason": "why"})
    assert {"zh-CN": "请写明理由", "en": "Say why"}[language] in short.text
    same = maker.post("/forms/rules", data={"reason": "nothing changes here"})
    assert {"zh-CN": "与现行规则相同", "en": "the rules that run"}[language] in same.text
    assert rows(scoring, "select count(*) from rule_sets") == [(0,)]


def test_a_model_is_uploaded_or_refused(scoring, bank):
    maker = scoring.client(officer("S004"))
    why = {"reason": "trained on the new half-year"}

    def upload(content: bytes) -> Any:
        return maker.post("/forms/rules", data=why, files={"model": ("m.json", content)})

    assert "no file of a model" in upload(b"nonsense").text
    assert "too large" in upload(b'{"a": "' + b"x" * 600_000 + b'"}').text
    other = msgspec.json.encode(hand_made("OTHER"))
    assert "product OTHER is not watched" in upload(other).text
    better = msgspec.structs.replace(hand_made("CA-P"), version="better")
    assert upload(msgspec.json.encode(better)).status_code == 204
    assert "hand-made-1</td>" in maker.get("/rules/1").text
    broken = msgspec.to_builtins(msgspec.structs.replace(better, version="broken"))
    broken["scores"][0]["methods"]["linear"]["weights_micro"] = [1]
    assert upload(msgspec.json.encode(broken)).status_code == 204
    maker.post("/forms/rules/2/rehearse", data={"from_on": day(30).isoformat()})
    rehearse(scoring)
    failed = maker.get("/rules/2").text
    assert "The rehearsal has failed" in failed
    assert "not of one length" in failed
    assert scoring.client(officer("S005")).post(
        "/forms/rules/2/accept", data={"effective_on": "2027-01-01"}
    ).status_code == 422  # fmt: skip


def test_a_rehearsal_is_cancelled_and_a_set_rejected(scoring, bank):
    maker, checker = scoring.client(officer("S004")), scoring.client(officer("S005"))
    maker.post("/forms/rules", data=FORM)
    maker.post("/forms/rules/1/rehearse", data={"from_on": day(30).isoformat()})
    cancelled = maker.post("/forms/rules/1/rehearsals/1/cancel")
    assert "Cancelled" in cancelled.text
    assert maker.post("/forms/rules/1/rehearsals/1/cancel").status_code == 422
    assert checker.post("/forms/rules/1/reject", data={"reason": "no"}).status_code == 422
    rejected = checker.post("/forms/rules/1/reject", data={"reason": "It was never rehearsed"})
    assert 'data-state="rejected"' in rejected.text
    assert maker.get("/rules/2").status_code == 404
    sees = scoring.client(officer("S006", only=frozenset({"rules.view"})))
    assert "/scoring/forms/" not in sees.get("/rules").text + sees.get("/rules/1").text
    assert sees.post("/forms/rules", data=FORM).status_code == 403
