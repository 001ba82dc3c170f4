"""Products, custom attributes, and the copies of what others own."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert

from services.orders.commands.subject import InvalidFields
from services.orders.queries import WENT_LIVE
from services.orders.tables import AttributeRow, FactRow, PartyRow, ProductRow
from shared.db import Tx
from shared.errors import Invalid

_PARTY = insert(PartyRow)
RECORD_PARTY = _PARTY.on_conflict_do_update(
    index_elements=["party_id"],
    set_={
        "customer_numbers": _PARTY.excluded.customer_numbers,
        "as_of": _PARTY.excluded.as_of,
    },
    where=PartyRow.as_of <= _PARTY.excluded.as_of,
)


def record_party(tx: Tx, party_id: str, customer_numbers: Sequence[str], as_of: datetime) -> None:
    """Takes over which numbers a party has; an older word never overwrites a newer one."""
    tx.bulk(
        RECORD_PARTY,
        {"party_id": party_id, "customer_numbers": list(customer_numbers), "as_of": as_of},
    )


def describe_product(tx: Tx, code: str, name_zh: str, name_en: str, line_code: str) -> None:
    """A product of the bank: names follow the bank, the list price stays ours."""
    values = {"name_zh": name_zh, "name_en": name_en, "line_code": line_code}
    tx.session.execute(
        insert(ProductRow)
        .values(product_code=code, unit_price_minor=None, sold=True, **values)
        .on_conflict_do_update(index_elements=["product_code"], set_=values)
    )


def price_product(tx: Tx, code: str, unit_price_minor: int | None, *, sold: bool) -> None:
    """Sets a product's list price, in minor units, and whether it is sold."""
    row = tx.session.get(ProductRow, code, with_for_update=True)
    if row is None:
        raise Invalid("product_code", {"zh-CN": "没有该产品。", "en": "There is no such product."})
    row.unit_price_minor = unit_price_minor
    row.sold = sold


def define_attribute(
    tx: Tx,
    *,
    code: str,
    name_zh: str,
    name_en: str,
    kind: str,
    required: bool,
    choices: Sequence[str],
    place: int,
) -> AttributeRow:
    """Adds or renames a custom attribute. Its kind stays: values were given under it."""
    if kind == "choice" and not choices:
        raise InvalidFields({"choices": "required"})
    row = tx.session.get(AttributeRow, code, with_for_update=True)
    if row is None:
        row = AttributeRow(code=code, kind=kind)
        tx.session.add(row)
    elif row.kind != kind:
        raise InvalidFields({"kind": "kind_is_fixed"})
    row.name_zh, row.name_en = name_zh, name_en
    row.required, row.choices, row.place = required, list(choices), place
    return row


def go_live(tx: Tx, on: str) -> None:
    """Due dates before this date are recorded, but tell nobody."""
    tx.session.execute(
        insert(FactRow)
        .values(name=WENT_LIVE, value=on)
        .on_conflict_do_update(index_elements=["name"], set_={"value": on})
    )
