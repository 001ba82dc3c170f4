"""`bank.reference`: what the bank's figures are measured with. Compacted, the date in the key."""

from collections.abc import Sequence
from datetime import date
from typing import ClassVar, Literal

from msgspec import field

from shared.events.fact import Code, Currency, Fact, Id, Minor, Period, Text


class ReferenceFact(Fact, kw_only=True, frozen=True):
    """A record that holds from a day on, kept per source: key = kind/code/from_on/source."""

    TOPIC: ClassVar[str] = "bank.reference"
    KEY: ClassVar[str] = "entry"

    @property
    def entry(self) -> str:
        """kind/code/from_on; a record without a date of its own has a dash."""
        raise NotImplementedError

    def key(self, source: str) -> str:
        return f"{self.entry}/{source}"


class DocumentFact(Fact, kw_only=True, frozen=True):
    """A booked or planned figure with an id of its own, which is its key."""

    TOPIC: ClassVar[str] = "bank.reference"


def _entry(kind: str, code: str, from_on: date | None) -> str:
    return f"{kind}/{code}/{from_on.isoformat() if from_on else '-'}"


def _joined(parts: Sequence[str]) -> str:
    """The parts with a plus between them, without the empty ones at the end.

    Of parts that hold a plus themselves (a grade A+) it is escaped, and all are followed by one:
    three are in no other code, so no two places have one key.
    """
    if any("+" in part for part in parts):
        return "".join(part.replace("%", "%25").replace("+", "%2B") + "+" for part in parts)
    said = max((n for n, part in enumerate(parts, 1) if part), default=0)
    return "+".join(parts[:said]) or "-"


class RateSet(ReferenceFact, kw_only=True, frozen=True):
    """A rate holds from a day on: ppm per year; a cost driver's is minor units per use.

    A year's charge for capital is exposure x risk weight x capital ratio x hurdle rate, each of the
    three a whole number of basis points (100 ppm). A PD or LGD of a grade goes before the
    product's own, from its day on. The code in the key is product+driver+grade without the empty
    ones at the end, "-" for none; where one of them holds a plus, each is followed by a plus, and
    within them "%" and "+" are %25 and %2B: `pd/OD++A%2B+/2026-01-01/core`.
    """

    TYPE: ClassVar[str] = "bank.rate_set.v1"

    kind: Literal[
        "transfer_price", "customer_rate", "margin", "cost_driver", "pd", "lgd", "risk_weight",
        "capital_ratio", "hurdle_rate", "tax",
    ]  # fmt: skip
    from_on: date
    value: Minor
    product_code: Code | None = None
    driver_code: Code | None = None
    grade_code: Code | None = None
    currency: Currency | None = None

    @property
    def entry(self) -> str:
        parts = (self.product_code or "", self.driver_code or "", self.grade_code or "")
        return _entry(self.kind, _joined(parts), self.from_on)

    def __post_init__(self) -> None:
        if self.kind == "cost_driver" and self.currency is None:
            raise ValueError("Object missing required field `currency`")


class ProductDescribed(ReferenceFact, kw_only=True, frozen=True):
    """A product and the line it belongs to."""

    TYPE: ClassVar[str] = "bank.product_described.v1"

    product_code: Code
    names: Text
    line_code: Literal["asset", "liability", "fee"]
    demand_or_fixed: Literal["demand", "fixed"] | None = None
    launched_on: date | None = None
    purchase_like: bool = False
    overdraft_product_code: Code | None = None  # whose figures a negative balance makes
    from_on: date | None = None

    @property
    def entry(self) -> str:
        return _entry("product", self.product_code, self.from_on)


class BranchDescribed(ReferenceFact, kw_only=True, frozen=True):
    """A branch and where it lies."""

    TYPE: ClassVar[str] = "bank.branch_described.v1"

    branch_code: Code
    names: Text | None = None
    region_code: Code | None = None
    district_code: Code | None = None
    parent_branch_code: Code | None = None
    from_on: date | None = None

    @property
    def entry(self) -> str:
        return _entry("branch", self.branch_code, self.from_on)


class DistrictDescribed(ReferenceFact, kw_only=True, frozen=True):
    """A district with its public figures."""

    TYPE: ClassVar[str] = "bank.district_described.v1"

    district_code: Code
    names: Text | None = None
    region_code: Code | None = None
    figures: dict[Code, Minor] = field(default_factory=dict)
    from_on: date | None = None

    @property
    def entry(self) -> str:
        return _entry("district", self.district_code, self.from_on)


class CostPoolDescribed(ReferenceFact, kw_only=True, frozen=True):
    """From a day on a cost centre's cost is spread by this driver; without one it is not spread."""

    TYPE: ClassVar[str] = "bank.cost_pool_described.v1"

    cost_centre_code: Code
    names: Text
    driver_code: Code | None = None
    from_on: date | None = None

    @property
    def entry(self) -> str:
        return _entry("cost_pool", self.cost_centre_code, self.from_on)


class CostBooked(DocumentFact, kw_only=True, frozen=True):
    """A cost centre's actual cost of a period; said again under its id it holds as said last."""

    TYPE: ClassVar[str] = "bank.cost_booked.v1"
    KEY: ClassVar[str] = "cost_id"

    cost_id: Id
    cost_centre_code: Code
    amount_minor: Minor
    currency: Currency
    period: Period
    driver_code: Code | None = None


# Whose figure a plan is. `who` is a code of it; of the bank there is one, whatever its code.
PlanDimension = Literal["bank", "branch", "manager", "line"]


class PlanSet(DocumentFact, kw_only=True, frozen=True):
    """A target of somebody for a period; of the same target the later word holds."""

    TYPE: ClassVar[str] = "bank.plan_set.v1"
    KEY: ClassVar[str] = "plan_id"

    plan_id: Id
    what: Code
    who: Code
    period: Period
    amount_minor: Minor
    currency: Currency
    dimension: PlanDimension = "branch"


class BudgetSet(DocumentFact, kw_only=True, frozen=True):
    """What somebody may spend in a period; of the same budget the later word holds."""

    TYPE: ClassVar[str] = "bank.budget_set.v1"
    KEY: ClassVar[str] = "budget_id"

    budget_id: Id
    what: Code
    who: Code
    period: Period
    amount_minor: Minor
    currency: Currency
    dimension: PlanDimension = "branch"


class SourceDescribed(ReferenceFact, kw_only=True, frozen=True):
    """A system that publishes events, and whether its closes hold the watermark."""

    TYPE: ClassVar[str] = "bank.source_described.v1"

    source: Id
    closes_days: bool
    active_from: date
    active_until: date | None = None

    @property
    def entry(self) -> str:
        return _entry("source", self.source, self.active_from)


class WentLive(ReferenceFact, kw_only=True, frozen=True):
    """Before this day alerts and due dates are recorded, but open no process and tell nobody."""

    TYPE: ClassVar[str] = "bank.went_live.v1"

    on: date

    @property
    def entry(self) -> str:
        return _entry("live", "-", self.on)
