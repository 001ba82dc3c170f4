"""What the scorer takes from `bank.reference`, who closes days and all rates, and from
`scoring.rules`, the sets of rules."""

from typing import Any

import msgspec
import structlog

from services.scoring import rule_set
from services.scoring.engine import Engine
from services.scoring.metrics import ALARMS
from services.scoring.rate import CONTACT, Kind, Rate
from services.scoring.risk_plan import ModelRefused
from services.scoring.watermark import Source
from shared.events import Event
from shared.events.bank import ProductDescribed, RateSet, SourceDescribed
from shared.events.envelope import Undecodable, UnknownType, UnknownVersion, decode, misplaced
from shared.events.scoring import RuleSetAccepted

log = structlog.get_logger()


def readable(value: bytes | None) -> Event[Any] | None:
    """The event of a record; None for an unreadable one: the query side lists it."""
    if not value:
        return None
    try:
        return decode(value)
    except (Undecodable, UnknownType, UnknownVersion):
        return None


def placed(topic: str, key: bytes | None, value: bytes | None) -> Event[Any] | None:
    """The event of a record that stands at its own key; any other is a letter of the query side."""
    event = readable(value)
    return None if event is None or misplaced(event, topic, key) else event


def tell(engine: Engine, event: Event[Any]) -> None:
    """Tells the engine what an event says."""
    data = event.data
    engine.heard += 1
    if isinstance(data, SourceDescribed):
        until = data.active_until.toordinal() if data.active_until else 0
        engine.describe(data.source, Source(data.closes_days, data.active_from.toordinal(), until))
    elif isinstance(data, RuleSetAccepted):
        _take_set(engine, data)
    elif rate := rate_of(event):
        engine.set_rate(rate)


def rate_of(event: Event[Any]) -> Rate | None:
    """The rate that a ledger takes from an event. None: it has none, or one that no ledger pays:
    the query side posts tax at a month's close and prices contacts."""
    data = event.data
    if isinstance(data, RateSet):
        of_contacts = (data.driver_code or "").partition("/")[0] == CONTACT
        return None if data.kind == "tax" or of_contacts else _rate(data, data.kind, event.source)
    if isinstance(data, ProductDescribed) and data.overdraft_product_code:
        return Rate(
            data.key(event.source), "overdraft", data.product_code, "", 0, 0,
            data.overdraft_product_code,
        )  # fmt: skip
    return None


def _take_set(engine: Engine, data: RuleSetAccepted) -> None:
    """The query side lets no set pass that the workers cannot run. One that came all the same is
    left out by every worker alike: the rules of before go on."""
    try:
        rules = rule_set.decoded(data.rules)
        engine.sets.take(data.number, data.effective_on.toordinal(), rules)
    except (msgspec.MsgspecError, ModelRefused) as error:
        ALARMS.labels("rules_refused").inc()
        log.error("rules_refused", number=data.number, why=str(error))


def _rate(data: RateSet, kind: Kind, source: str) -> Rate:
    return Rate(
        data.key(source), kind, data.product_code or "", data.driver_code or "",
        data.from_on.toordinal(), data.value, grade=data.grade_code or "",
    )  # fmt: skip
