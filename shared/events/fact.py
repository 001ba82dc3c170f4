"""The fact, the `data` of an event, and the value types of its fields.

A constrained type here is a promise checked while decoding: nothing downstream checks it again.
"""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from shared.money import EXPONENTS, MINOR_MAX

TEXT_CHARS_MAX = 10_000

Id = Annotated[str, Meta(min_length=1, max_length=200)]
Number = Annotated[str, Meta(min_length=1, max_length=100)]  # our ids are made of the bank's
Code = Annotated[str, Meta(min_length=1, max_length=100)]
Words = Annotated[str, Meta(max_length=TEXT_CHARS_MAX)]
Link = Annotated[str, Meta(pattern="^/[^/]", max_length=500)]  # our own origin only
Minor = Annotated[int, Meta(ge=-MINOR_MAX, le=MINOR_MAX)]
Lent = Annotated[int, Meta(ge=1, le=MINOR_MAX)]  # minor units; of less than one is no loan
Ppm = Annotated[int, Meta(ge=-MINOR_MAX, le=MINOR_MAX)]
SharePpm = Annotated[int, Meta(ge=0, le=1_000_000)]
Count = Annotated[int, Meta(ge=0, le=MINOR_MAX)]
Ordinal = Annotated[int, Meta(ge=1, le=MINOR_MAX)]  # the first is 1
Period = Annotated[str, Meta(pattern=r"^\d{4}(-(0[1-9]|1[0-2]))?$")]  # a year or a month

if TYPE_CHECKING:
    from datetime import datetime

    Currency = str
    Instant = datetime
    Text = dict[str, str]
else:
    from datetime import datetime

    # A closed set is a hash look-up for the decoder, where a pattern is a call into `re`.
    Currency = Literal[tuple(sorted(EXPONENTS))]
    Instant = Annotated[datetime, Meta(tz=True)]
    # Two different keys of a set of two: both languages are there.
    Text = Annotated[
        dict[Literal["zh-CN", "en"], Annotated[str, Meta(min_length=1)]], Meta(min_length=2)
    ]

PartyKind = Literal["person", "firm", "group", "institution"]


class Fact(Struct, kw_only=True, frozen=True, omit_defaults=True, gc=False):
    """What happened, in the owner's words. Unknown fields of a newer writer are ignored."""

    TYPE: ClassVar[str]
    TOPIC: ClassVar[str]
    KEY: ClassVar[str]  # the attribute that is subject and Kafka key
    PERSONAL: ClassVar[bool] = False  # holds personal data: `bank.customers` only

    def key(self, source: str) -> str:
        """The Kafka key; `source` is the envelope's (reference data is kept per source)."""
        del source
        return str(getattr(self, self.KEY))


class Part(Struct, kw_only=True, frozen=True, omit_defaults=True, gc=False):
    """A piece of a fact; it has no identity of its own."""


class Cause(Part, kw_only=True, frozen=True):
    """One link of a chain of causes, nearest first: the event, and why in words."""

    type: Id
    id: Id
    at: Instant | None = None
    text: Text | None = None


def require(fact: Any, field: str, beside: str) -> None:
    """An amount without its currency is no amount. Raises ValueError that names the field."""
    if getattr(fact, beside) is not None and getattr(fact, field) is None:
        raise ValueError(f"Object missing required field `{field}`")
