"""What staff type into order and quote forms, read exactly; what is wrong stays at its field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData

from services.orders.commands.subject import OrderDraft
from services.orders.pages.texts import PROBLEM
from services.orders.rules.attributes import Attribute
from services.orders.rules.lines import LINES_MAX, PPM, Line, Totals, line_totals, totals
from services.orders.tables import OrderRow, ProductRow
from shared.money import AmountError, Money

ATTRIBUTE_PREFIX = "attribute."


async def form_of(request: Request) -> FormData:
    """The posted form; a dependency, so that endpoints stay plain functions."""
    return await request.form(max_files=0, max_fields=LINES_MAX * 6 + 200)


@dataclass
class TypedLine:
    """One line as typed, and the line it makes when every field can be read."""

    product_code: str = ""
    quantity: str = "1"
    unit_price: str = ""
    discount: str = ""
    quote_id: str = ""
    quote_version: str = ""
    line: Line | None = None

    @property
    def totals(self) -> Totals | None:
        return line_totals(self.line) if self.line else None

    @property
    def blank(self) -> bool:
        """Nothing typed: a line that was added and left as it came."""
        untouched = self.quantity in ("", "1")
        return untouched and not (self.product_code or self.unit_price or self.discount)


@dataclass
class TypedOrder:
    """A form as typed, with problems by field (codes)."""

    values: dict[str, str] = field(default_factory=dict)
    lines: list[TypedLine] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def totals(self) -> Totals:
        return totals(one.line for one in self.lines if one.line)

    def rule_lines(self) -> tuple[Line, ...]:
        return tuple(one.line for one in self.lines if one.line)

    def errors(self, translate: Any) -> dict[str, str]:
        """Field -> what staff read there."""
        return {name: translate(PROBLEM.get(code, code)) for name, code in self.problems.items()}

    def draft(self) -> OrderDraft:
        """What to place or save. Only to be asked when there is no problem."""
        assert not self.problems
        return OrderDraft(
            party_id=self.values["party_id"],
            customer_number=self.values["customer_number"] or None,
            currency=self.values["currency"],
            lines=self.rule_lines(),
            attributes=dict(self.attributes),
            effective_on=_date(self.values["effective_on"]),
            deliver_days=int(self.values["deliver_days"]),
            collect_days=int(self.values["collect_days"]),
            receiving_account=self.values["receiving_account"] or None,
            note=self.values["note"],
        )


DEFAULTS = {
    "party_id": "", "customer_number": "", "currency": "CNY", "effective_on": "",
    "deliver_days": "3", "collect_days": "7", "receiving_account": "", "note": "",
    "valid_until_on": "", "version": "", "key": "",
}  # fmt: skip


def blank_order(**values: str) -> TypedOrder:
    return TypedOrder(values={**DEFAULTS, **values}, lines=[TypedLine()])


def read_form(form: FormData, products: Sequence[ProductRow]) -> TypedOrder:
    """Everything typed, whether it can be read or not. A line without a price takes the list's."""
    prices = {p.product_code: p.unit_price_minor for p in products}
    values = {name: str(form.get(name, default)).strip() for name, default in DEFAULTS.items()}
    typed = TypedOrder(values=values)
    for number in _line_numbers(form):
        at = f"line.{number}."
        one = TypedLine(
            product_code=_text(form, at + "product_code"),
            quantity=_text(form, at + "quantity"),
            unit_price=_text(form, at + "unit_price"),
            discount=_text(form, at + "discount"),
            quote_id=_text(form, at + "quote_id"),
            quote_version=_text(form, at + "quote_version"),
        )
        if not one.blank:
            _read_line(typed, one, len(typed.lines), prices)
            typed.lines.append(one)
    typed.attributes = {
        name.removeprefix(ATTRIBUTE_PREFIX): str(value)
        for name, value in form.items()
        if name.startswith(ATTRIBUTE_PREFIX)
    }
    for name in ("deliver_days", "collect_days"):
        if not values[name].isdecimal() or not values[name].isascii():
            typed.problems[name] = "not_an_integer"
    for name in ("effective_on", "valid_until_on"):
        try:
            _date(values[name])
        except ValueError:
            typed.problems[name] = "not_a_date"
    if not typed.lines:
        typed.problems["lines"] = "empty"
        typed.lines.append(TypedLine())  # one to fill in
    return typed


def typed_from_order(
    order: OrderRow, lines: Sequence[Line], attributes: Sequence[Attribute]
) -> TypedOrder:
    """The form of an order that is to be edited."""
    typed = blank_order(
        party_id=order.party_id,
        customer_number=order.customer_number or "",
        currency=order.currency,
        effective_on=order.effective_on.isoformat() if order.effective_on else "",
        deliver_days=str(order.deliver_days),
        collect_days=str(order.collect_days),
        receiving_account=order.receiving_account or "",
        note=order.note,
        version=str(order.version),
    )
    typed.lines = [typed_line(line, order.currency) for line in lines]
    known = {a.code for a in attributes}
    typed.attributes = {
        code: "true" if value is True else "false" if value is False else str(value)
        for code, value in order.attributes.items()
        if code in known
    }
    return typed


def typed_line(line: Line, currency: str) -> TypedLine:
    percent = Decimal(line.discount_ppm) * 100 / PPM
    return TypedLine(
        product_code=line.product_code,
        quantity=str(line.quantity),
        unit_price=f"{Money(line.unit_price_minor, currency).major():f}",
        discount=f"{percent.normalize():f}" if line.discount_ppm else "",
        quote_id=line.quote_id or "",
        quote_version=str(line.quote_version or ""),
        line=line,
    )


def discount_ppm(percent: str) -> int:
    """Percent as typed, in ppm, exactly. Raises ValueError with a code."""
    if not percent:
        return 0
    try:
        ppm = Decimal(percent.rstrip("%").strip()) * (PPM // 100)
    except InvalidOperation:
        raise ValueError("not_a_number") from None
    if not ppm.is_finite() or ppm != ppm.to_integral_value():
        raise ValueError("not_a_number")
    if not 0 <= ppm <= PPM:
        raise ValueError("out_of_range")
    return int(ppm)


def _read_line(
    typed: TypedOrder, one: TypedLine, index: int, prices: Mapping[str, int | None]
) -> None:
    problems = typed.problems
    at = f"lines.{index}."
    if one.product_code not in prices:
        problems[at + "product_code"] = "unknown_product"
    if not (one.quantity.isascii() and one.quantity.isdecimal() and len(one.quantity) <= 7):
        problems[at + "quantity"] = "not_an_integer"
    currency = typed.values["currency"]
    listed = prices.get(one.product_code)
    if not one.unit_price and listed is not None:
        one.unit_price = f"{Money(listed, currency).major():f}"
    try:
        price = Money.of(one.unit_price.replace(",", ""), currency).minor
    except AmountError:
        problems[at + "unit_price_minor"] = "not_an_amount"
    try:
        discount = discount_ppm(one.discount)
    except ValueError as error:
        problems[at + "discount_ppm"] = str(error)
    if any(name.startswith(at) for name in problems):
        return
    one.line = Line(
        one.product_code,
        int(one.quantity),
        price,
        discount,
        one.quote_id or None,
        int(one.quote_version) if one.quote_id and one.quote_version.isdecimal() else None,
    )


def _line_numbers(form: FormData) -> list[int]:
    """The numbers of the lines in the form, in order; removed ones leave gaps."""
    found = set()
    for name in form:
        head, _, rest = name.partition(".")
        number = rest.partition(".")[0]
        if head == "line" and number.isascii() and number.isdecimal() and len(number) <= 4:
            found.add(int(number))
    return sorted(found)[:LINES_MAX]


def _text(form: FormData, name: str) -> str:
    return str(form.get(name, "")).strip()


def _date(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
