"""A model's rules on the query side: alerts of parties, what moved each term, both languages."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.scoring import risk_model, risk_plan
from services.scoring.commands.alerts import keep_signals
from services.scoring.commands.fold import fold_state
from services.scoring.rules.stake import additive
from services.scoring.scores import linear
from services.scoring.signals import encode as encode_signal
from shared.events.scoring import AlertCleared, AlertRaised
from shared.policy import Actor
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests.integration import scoring_room
from tests.integration.scoring_room import HEAD, a_small_bank, day, due_now, party, relayed, rows
from tests.risk_live import hand_made
from tests.scoring_bank import ScoredBank

scoring = scoring_room.scoring
DEMO_MODEL = Path(__file__).parents[2] / "deploy" / "bank" / "model.json"


@pytest.fixture
def modelled(space: Space) -> Iterator[ScoredBank]:
    found = ScoredBank(space, risk_plan.plan_of(hand_made("CA-P")))
    yield found
    found.shut()


def alerts_told(space: Space, kind: type, rule: str) -> list:
    found = [event.data for event in space.read("score.alerts") if isinstance(event.data, kind)]
    return [fact for fact in found if fact.rule == rule]


def test_a_models_alert_is_told_with_its_terms_and_the_events_that_moved_them(
    space, scoring, modelled
):
    a_small_bank(modelled, space)
    modelled.score()
    scoring.drain()
    while scoring.relay_once():
        pass
    (raised,) = [a for a in alerts_told(space, AlertRaised, "collapse") if a.party_id == "P2"]
    terms = {term.code: term.value for term in raised.terms}
    assert linear.risk_ppm(sum(additive(terms).values())) == raised.risk_ppm
    assert raised.at.date() <= day(120)  # midnight there is the evening before here
    sent = rows(
        scoring, "select event_offset, event_id from bank_events where customer_number='C2'"
    )
    last = max(sent)[1]
    (silence,) = [term for term in raised.terms if term.code == "silence"]
    assert silence.event_ids == (last,)
    assert terms["silent_days"] == 60
    assert raised.text["en"].startswith("May do half as much or less within 90 days; mostly for ")
    assert "未来 90 天交易可能减半" in raised.text["zh-CN"]
    assert alerts_told(space, AlertCleared, "collapse") == []
    modelled.book("C2", 5, day(151))
    modelled.close(day(151))
    modelled.score()
    scoring.drain()
    while scoring.relay_once():
        pass
    (cleared,) = [a for a in alerts_told(space, AlertCleared, "collapse") if a.party_id == "P2"]
    assert cleared.alert_id == raised.alert_id


def test_the_events_that_moved_an_alert_are_found_when_the_store_comes_to_them(
    space: Space, scoring: ServiceUnderTest, modelled: ScoredBank
) -> None:
    """The store is behind the worker when the alert is raised."""
    party(space, "P2", "C2")
    scoring.drain()
    modelled.days("C2", day(0), day(60), 5, 1_000_000)
    modelled.close_through(day(150))
    states, signals = modelled.score(write=False)
    told = [(p, s.customer_number.encode(), encode_signal(s)) for p, s in signals]
    taken(scoring, states, told)
    while scoring.relay_once():
        pass
    (raised,) = alerts_told(space, AlertRaised, "collapse")
    named = {term.code: term.event_ids for term in raised.terms}
    assert named["silence"] == (), "an event that the store does not hold has no id yet"
    url = f"/risk/alerts/{raised.alert_id}"
    assert "data-moved" not in scoring.client(HEAD).get(url).text
    scoring.drain()
    found = rows(scoring, "select event_offset, event_id from bank_events"
                          " where customer_number = 'C2'")  # fmt: skip
    page = scoring.client(HEAD).get(url).text
    (silence,) = re.findall('data-moved="silence">([^<]*)<', page)
    assert silence.endswith(f": {max(found)[1]}")


def test_an_alert_names_the_model_of_the_signal_that_tells_it(
    space: Space, scoring: ServiceUnderTest, modelled: ScoredBank
) -> None:
    """Two numbers fell silent, each by the rules of its day; the one active last tells of both."""
    party(space, "P2", "C2", "C3")
    scoring.drain()
    for number, last_on in (("C2", day(60)), ("C3", day(65))):
        modelled.days(number, day(0), last_on, 5, 1_000_000)
    modelled.close_through(day(150))
    states, signals = modelled.score(write=False)
    by = {"C2": "set-9", "C3": "set-10"}
    told = [
        (p, s.customer_number.encode(),
         encode_signal(replace(s, model_version=by[s.customer_number])))
        for p, s in signals if s.rule == "silence"
    ]  # fmt: skip
    taken(scoring, states, told)
    found = rows(scoring, "select customer_number, model_version from alerts")
    assert found == [("C3", "set-10")]


def taken(scoring: ServiceUnderTest, states: list, signals: list) -> None:
    for topic, handler, of in (("scoring.state", fold_state, states),
                               ("scoring.signals", keep_signals, signals)):  # fmt: skip
        records = [Record(topic, p, n, key, value, 0) for n, (p, key, value) in enumerate(of)]
        with scoring.database.transaction() as tx:
            handler(tx, records)


def test_every_rule_that_holds_is_published_with_its_account_and_terms(space, scoring, modelled):
    a_small_bank(modelled, space)
    modelled.score()
    scoring.drain()
    relayed(scoring)
    told = {e.data.party_id: e.data for e in space.read("score.updates")}
    rules = {one.rule: one for one in told["P2"].risks}
    assert {"collapse", "silence"} <= set(rules)
    collapse = rules["collapse"]
    assert (collapse.customer_number, collapse.account_number) == ("C2", "A-C2")
    assert collapse.product_code == "CA-P"
    assert collapse.model_version == "hand-made-1"
    terms = {term.code: term.value for term in collapse.terms}
    assert linear.risk_ppm(sum(additive(terms).values())) == collapse.risk_ppm
    assert told["P2"].risk_ppm["collapse"] == collapse.risk_ppm
    assert told["P2"].model_version == "hand-made-1+v1"
    assert rules["silence"].account_number is None
    assert told["P1"].risks == ()
    assert told["P1"].risk_ppm["outflow"] == told["P1"].risk_ppm["silence"] == 0

    page = scoring.client(HEAD).get("/contribution/parties/P2").text
    assert 'data-key="collapse/C2/A-C2/CA-P"' in page
    assert "-2.000000" in page  # the base: the terms add up on this page too
    modelled.book("C2", 5, day(151))
    modelled.close(day(151))
    modelled.score()
    scoring.drain()
    due_now(scoring)
    relayed(scoring)
    (*_, last) = [e.data for e in space.read("score.updates") if e.data.party_id == "P2"]
    assert (last.risk_ppm["collapse"], last.risk_ppm["silence"]) == (0, 0)
    assert "collapse" not in {one.rule for one in last.risks}
    assert (
        'data-key="collapse/C2/A-C2/CA-P"'
        not in scoring.client(HEAD).get("/contribution/parties/P2").text
    )


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_pages_name_the_model_its_error_and_why(
    space, scoring, modelled, language, tmp_path: Path, monkeypatch
):
    model = hand_made("CA-P")
    file = tmp_path / "model.json"
    risk_model.save(model, file)
    a_small_bank(modelled, space)
    modelled.score()
    scoring.drain()
    client = scoring.client(
        Actor("S011", permissions=HEAD.permissions, scopes=HEAD.scopes, language=language)
    )
    without = {"zh-CN": "未设置风险模型", "en": "No model of risk is set"}[language]
    assert without in client.get("/risk").text
    monkeypatch.setenv("GUANXI_RISK_MODEL", str(file))
    page = client.get("/risk").text
    assert without not in page
    assert 'data-model="hand-made-1"' in page
    assert {"zh-CN": "活跃度将下降", "en": "Collapse of activity ahead"}[language] in page
    assert {"zh-CN": "未测量", "en": "not measured"}[language] in page
    alert = next(a for a in client.get("/alerts?rule=collapse").json()["items"]
                 if a["party_id"] == "P2")  # fmt: skip
    shown = client.get(f"/risk/alerts/{alert['alert_id']}").text
    assert alert["text"][language] in shown
    assert {"zh-CN": "所有客户的起点", "en": "Where all customers begin"}[language] in shown
    assert "-2.000000" in shown  # of the base: the terms are shown to the last digit
    assert 'data-moved="silence"' in shown
    assert {"zh-CN": "线性评分", "en": "Linear score"}[language] in shown
    monkeypatch.setenv("GUANXI_RISK_MODEL", str(DEMO_MODEL))
    page = client.get("/risk").text
    assert "BG/NBD" in page, "tried and measured too"
    monkeypatch.setenv("GUANXI_RISK_MODEL", str(tmp_path / "none.json"))
    assert without in client.get("/risk").text, "it cannot be read here: the log says so"
