"""HTTP bodies. Amounts and counts are strict integers: true is not 1, 1.0 is not 1."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.orders.commands.subject import OrderDraft
from services.orders.queries import OrderView, content_of, quote_lines
from services.orders.rules.content import content_hash
from services.orders.rules.lines import AMOUNT_MINOR_MAX, LINES_MAX, PPM, Line, line_totals
from services.orders.tables import OrderRow, QuoteRow, QuoteVersionRow

Id = Annotated[str, Field(min_length=1, max_length=64)]
Amount = Annotated[int, Field(strict=True, ge=0, le=AMOUNT_MINOR_MAX)]
Days = Annotated[int, Field(strict=True, ge=0, le=366)]
Note = Annotated[str, Field(max_length=2000)]


class Body(BaseModel):
    """Unknown fields are refused: a mistyped name is not silently nothing."""

    model_config = ConfigDict(extra="forbid")


class LineIn(Body):
    product_code: Id
    quantity: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    unit_price_minor: Amount
    discount_ppm: Annotated[int, Field(strict=True, ge=0, le=PPM)] = 0
    quote_id: Id | None = None
    quote_version: Annotated[int, Field(strict=True, ge=1)] | None = None

    def line(self) -> Line:
        return Line(**self.model_dump())


Lines = Annotated[list[LineIn], Field(min_length=1, max_length=LINES_MAX)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]


class OrderIn(Body):
    party_id: Id
    customer_number: Id | None = None
    currency: Currency = "CNY"
    lines: Lines
    attributes: dict[str, str | int | bool | None] = Field(default_factory=dict, max_length=100)
    effective_on: date | None = None
    deliver_days: Days = 3
    collect_days: Days = 7
    receiving_account: Id | None = None
    note: Note = ""

    def draft(self) -> OrderDraft:
        return OrderDraft(
            party_id=self.party_id,
            customer_number=self.customer_number,
            currency=self.currency,
            lines=tuple(line.line() for line in self.lines),
            attributes=dict(self.attributes),
            effective_on=self.effective_on,
            deliver_days=self.deliver_days,
            collect_days=self.collect_days,
            receiving_account=self.receiving_account,
            note=self.note,
        )


class PlaceIn(OrderIn):
    submit: bool = False


class EditIn(OrderIn):
    version: Annotated[int, Field(strict=True, ge=1)]


class ApproveIn(Body):
    content_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class RefuseIn(ApproveIn):
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class MatchIn(Body):
    order_id: Id


class QuoteVersionIn(Body):
    lines: Lines
    valid_until_on: date
    note: Note = ""

    def rule_lines(self) -> tuple[Line, ...]:
        return tuple(line.line() for line in self.lines)


class QuoteIn(QuoteVersionIn):
    party_id: Id
    currency: Currency = "CNY"


class PriceIn(Body):
    unit_price_minor: Amount | None
    sold: bool = True


class AttributeIn(Body):
    code: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,39}$")]
    name_zh: Annotated[str, Field(min_length=1, max_length=100)]
    name_en: Annotated[str, Field(min_length=1, max_length=100)]
    kind: Literal["text", "integer", "date", "choice", "boolean"]
    required: bool = False
    choices: Annotated[list[Id], Field(max_length=100)] = Field(default_factory=list)
    place: Annotated[int, Field(strict=True, ge=0, le=1000)] = 100


class PlacedOut(BaseModel):
    order_id: str
    status: str
    version: int
    amount_minor: int
    currency: str
    content_hash: str | None


class LineOut(BaseModel):
    line_no: int
    product_code: str
    quantity: int
    unit_price_minor: int
    discount_ppm: int
    amount_minor: int
    quote_id: str | None
    quote_version: int | None


class ApprovalOut(BaseModel):
    content_hash: str
    amount_minor: int
    maker_id: str
    asked_at: datetime
    state: str
    decided_by: str | None
    decided_at: datetime | None
    reason: str


class StepOut(BaseModel):
    step_no: int
    kind: str
    due_on: date
    state: str
    done_at: datetime | None
    done_by: str | None


class PaymentOut(BaseModel):
    transaction_id: str
    amount_minor: int
    currency: str
    booked_on: date
    third_party: bool
    reversed: bool


class ReceivableOut(BaseModel):
    amount_minor: int
    paid_minor: int
    settlement: str
    due_on: date


class ReminderOut(BaseModel):
    state: str
    remind_at: datetime
    held_by: dict[str, Any] | None
    valid_until: datetime | None
    why: str | None


class OrderOut(PlacedOut):
    party_id: str
    customer_number: str | None
    owner_id: str
    makers: list[str]
    attributes: dict[str, Any]
    note: str
    effective_on: date | None
    deliver_days: int
    collect_days: int
    receiving_account: str | None
    created_at: datetime
    effective_at: datetime | None
    closed_at: datetime | None
    content_hash_now: str  # of what the page shows: an approval must name it
    lines: list[LineOut]
    approvals: list[ApprovalOut]
    steps: list[StepOut]
    receivable: ReceivableOut | None
    payments: list[PaymentOut]
    reminder: ReminderOut | None


class QuoteVersionOut(BaseModel):
    version: int
    amount_minor: int
    valid_until_on: date
    note: str
    made_by: str
    made_at: datetime
    offered_at: datetime | None
    lines: list[LineOut]


class QuoteOut(BaseModel):
    quote_id: str
    party_id: str
    currency: str
    status: str
    version: int
    versions: list[QuoteVersionOut]


class OrdersOut(BaseModel):
    orders: list[PlacedOut]
    next: str | None


def placed_out(order: OrderRow) -> PlacedOut:
    return PlacedOut(
        order_id=order.order_id,
        status=order.status,
        version=order.version,
        amount_minor=order.amount_minor,
        currency=order.currency,
        content_hash=order.content_hash,
    )


def order_out(view: OrderView) -> OrderOut:
    order = view.order
    columns = {
        name: getattr(order, name)
        for name in (
            "party_id", "customer_number", "owner_id", "makers", "attributes", "note",
            "effective_on", "deliver_days", "collect_days", "receiving_account", "created_at",
            "effective_at", "closed_at",
        )
    }  # fmt: skip
    return OrderOut(
        **placed_out(order).model_dump(),
        **columns,
        content_hash_now=content_hash(content_of(order, view.lines)),
        lines=lines_out(view.lines),
        approvals=[ApprovalOut.model_validate(a, from_attributes=True) for a in view.approvals],
        steps=[StepOut.model_validate(s, from_attributes=True) for s in view.steps],
        receivable=ReceivableOut.model_validate(view.receivable, from_attributes=True)
        if view.receivable
        else None,
        payments=[
            PaymentOut(
                transaction_id=p.transaction_id,
                amount_minor=p.amount_minor,
                currency=p.currency,
                booked_on=p.booked_on,
                third_party=p.third_party,
                reversed=p.transaction_id in view.reversed_ids,
            )
            for p in view.payments
        ],
        reminder=ReminderOut.model_validate(view.reminder, from_attributes=True)
        if view.reminder
        else None,
    )


def lines_out(lines: tuple[Line, ...]) -> list[LineOut]:
    return [
        LineOut(
            line_no=number,
            product_code=line.product_code,
            quantity=line.quantity,
            unit_price_minor=line.unit_price_minor,
            discount_ppm=line.discount_ppm,
            amount_minor=line_totals(line).amount_minor,
            quote_id=line.quote_id,
            quote_version=line.quote_version,
        )
        for number, line in enumerate(lines, 1)
    ]


def quote_out(quote: QuoteRow, versions: list[QuoteVersionRow]) -> QuoteOut:
    return QuoteOut(
        quote_id=quote.quote_id,
        party_id=quote.party_id,
        currency=quote.currency,
        status=quote.status,
        version=quote.version,
        versions=[
            QuoteVersionOut(
                version=v.version,
                amount_minor=v.amount_minor,
                valid_until_on=v.valid_until_on,
                note=v.note,
                made_by=v.made_by,
                made_at=v.made_at,
                offered_at=v.offered_at,
                lines=lines_out(quote_lines(v)),
            )
            for v in versions
        ],
    )
