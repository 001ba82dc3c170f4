"""`bank.customers`: who the customers are. Personal data, kept 14 days, read by customer only."""

from datetime import date
from typing import ClassVar

from shared.events.fact import (
    Code,
    Currency,
    Fact,
    Id,
    Minor,
    Number,
    Part,
    PartyKind,
    Words,
    require,
)


class Document(Part, kw_only=True, frozen=True):
    """An identity paper; `kind` is the bank's code."""

    kind: Code
    number: Id


class Address(Part, kw_only=True, frozen=True):
    """A postal address: the line as written, with its place when the bank knows it."""

    line: Words
    district_code: Code | None = None
    postal_code: Code | None = None
    country_code: Code | None = None


class CustomerRecorded(Fact, kw_only=True, frozen=True):
    """A customer is now known to the bank like this: the whole record, not a change."""

    TYPE: ClassVar[str] = "bank.customer_recorded.v1"
    TOPIC: ClassVar[str] = "bank.customers"
    KEY: ClassVar[str] = "customer_number"
    PERSONAL: ClassVar[bool] = True

    customer_number: Number
    kind: PartyKind
    name: Id
    documents: tuple[Document, ...] = ()
    phones: tuple[Id, ...] = ()
    emails: tuple[Id, ...] = ()
    address: Address | None = None
    birth_on: date | None = None
    sex: Code | None = None
    credit_code: Code | None = None
    industry_code: Code | None = None
    legal_representative: Id | None = None
    registered_capital_minor: Minor | None = None
    currency: Currency | None = None
    size_code: Code | None = None

    def __post_init__(self) -> None:
        require(self, "currency", beside="registered_capital_minor")


class ProspectRecorded(Fact, kw_only=True, frozen=True):
    """Somebody without a customer number showed interest."""

    TYPE: ClassVar[str] = "bank.prospect_recorded.v1"
    TOPIC: ClassVar[str] = "bank.customers"
    KEY: ClassVar[str] = "prospect_id"
    PERSONAL: ClassVar[bool] = True

    prospect_id: Id
    source: Code  # where the bank met the prospect
    wanted_product_codes: tuple[Code, ...] = ()
    kind: PartyKind | None = None
    name: Id | None = None
    phones: tuple[Id, ...] = ()
    emails: tuple[Id, ...] = ()
    branch_code: Code | None = None


class ContactTextRecorded(Fact, kw_only=True, frozen=True):
    """The free text of a contact; its codes are in `bank.contact_recorded`."""

    TYPE: ClassVar[str] = "bank.contact_text_recorded.v1"
    TOPIC: ClassVar[str] = "bank.customers"
    KEY: ClassVar[str] = "customer_number"
    PERSONAL: ClassVar[bool] = True

    contact_id: Id
    customer_number: Number
    text: Words
