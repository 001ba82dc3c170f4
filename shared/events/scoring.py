"""`score.updates` and `score.alerts`: what a party is worth, and when it may leave.

And, private to scoring, what its worker is to take beside the bank's events: `scoring.inputs`, and
`scoring.rules`, which every worker knows to its end before it takes the close of a day.
"""

from datetime import date
from typing import Annotated, ClassVar

from msgspec import Meta, field

from shared.events.fact import (
    Cause,
    Code,
    Count,
    Currency,
    Fact,
    Id,
    Instant,
    Minor,
    Ordinal,
    Part,
    Ppm,
    Text,
)


class Contribution(Part, kw_only=True, frozen=True):
    """Exact sums of contribution entries; accrued is shown beside posted, never in it."""

    currency: Currency
    posted_minor: Minor
    accrued_minor: Minor = 0
    by_component: dict[Code, Minor] = field(default_factory=dict)
    last_12_months_minor: Minor | None = None


class Term(Part, kw_only=True, frozen=True):
    """One number of an explanation and the events behind it."""

    code: Code
    value: Minor
    event_ids: tuple[Id, ...] = ()


class Risk(Part, kw_only=True, frozen=True):
    """A rule that holds on a customer number or on one of its accounts, as it was when it began."""

    rule: Code
    customer_number: Id
    account_number: Id | None = None
    product_code: Code | None = None
    at: Instant
    risk_ppm: Ppm
    terms: tuple[Term, ...] = ()
    model_version: Id


class ScoreUpdated(Fact, kw_only=True, frozen=True):
    """A party's figures as of these positions; a later one replaces it."""

    TYPE: ClassVar[str] = "scoring.score_updated.v1"
    TOPIC: ClassVar[str] = "score.updates"
    KEY: ClassVar[str] = "party_id"

    party_id: Id
    customer_numbers: tuple[Id, ...]
    contribution: Contribution
    model_version: Id
    risk_ppm: dict[Code, Ppm] = field(default_factory=dict)  # by rule; 0: it does not hold
    risks: tuple[Risk, ...] = ()
    figures: dict[Code, Minor] = field(default_factory=dict)
    value_class: Code | None = None
    life_cycle_stage: Code | None = None
    positions: dict[Id, Count] = field(
        default_factory=dict
    )  # customer number -> offset applied last


class AlertFact(Fact, kw_only=True, frozen=True):
    """A fact on an open or ended episode of one rule on one party."""

    TOPIC: ClassVar[str] = "score.alerts"
    KEY: ClassVar[str] = "party_id"

    alert_id: Id
    party_id: Id
    rule: Code
    episode: Ordinal
    at: Instant
    customer_number: Id | None = None  # whose signal it was, when only one number's
    customer_numbers: tuple[Id, ...] = ()


class AlertRaised(AlertFact, kw_only=True, frozen=True):
    """A rule now holds on a party; here is why, and what is at stake."""

    TYPE: ClassVar[str] = "scoring.alert_raised.v1"

    risk_ppm: Ppm
    contribution_minor: Minor
    margin_at_risk_minor: Minor
    recoverable_minor: Minor | None = None  # of it, what work has saved so far: alerts rank by it
    currency: Currency
    terms: tuple[Term, ...]
    text: Text
    advice: Text | None = None  # what the manager can do
    opens_work: bool = True  # False: a finding, which goes to the work there is
    cause: Cause | None = None  # the bank's event that moved the rule; for silence the day's close


class AlertCleared(AlertFact, kw_only=True, frozen=True):
    """The rule no longer holds, or `recomputed` found that it never did."""

    TYPE: ClassVar[str] = "scoring.alert_cleared.v1"

    reason_code: Code
    risk_ppm: Ppm | None = None
    contribution_minor: Minor | None = None
    margin_at_risk_minor: Minor | None = None
    currency: Currency | None = None
    terms: tuple[Term, ...] = ()
    text: Text | None = None


class EventReplayed(Fact, kw_only=True, frozen=True):
    """An event that the worker refused is to be applied now; `partition` and `offset` are where it
    stands in `bank.events`, `payload` its value as it was published, in base64."""

    TYPE: ClassVar[str] = "scoring.event_replayed.v1"
    TOPIC: ClassVar[str] = "scoring.inputs"
    KEY: ClassVar[str] = "customer_number"

    customer_number: Id
    partition: Count
    offset: Count
    payload: Annotated[str, Meta(min_length=1)]


class RuleSetAccepted(Fact, kw_only=True, frozen=True):
    """A set of rules that a second person has accepted: it judges the close of `effective_on` and
    what follows. `rules` is the whole set as JSON: thresholds and a model of risk."""

    TYPE: ClassVar[str] = "scoring.rule_set_accepted.v1"
    TOPIC: ClassVar[str] = "scoring.rules"
    KEY: ClassVar[str] = "set_id"

    set_id: Id
    number: Ordinal
    effective_on: date  # of each set later than those of all accepted before it
    rules: Annotated[str, Meta(min_length=1)]
    proposed_by: Id
    accepted_by: Id
