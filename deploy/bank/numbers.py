"""Numbers as Chinese systems write them, each with a valid check digit."""

from datetime import date
from random import Random

_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100-2015: no I, O, S, V, Z
_CREDIT_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ACCOUNT_PREFIX = "6217"


def credit_code_check(head: str) -> str:
    """The 18th character of a unified social credit code, from the first 17 (GB 32100-2015)."""
    total = sum(_CREDIT_ALPHABET.index(c) * w for c, w in zip(head, _CREDIT_WEIGHTS, strict=True))
    return _CREDIT_ALPHABET[-total % 31]


def organisation_check(head: str) -> str:
    """The 9th character of an organisation code, from the first 8 (GB 11714-1997)."""
    total = sum(int(c, 36) * w for c, w in zip(head, _ORGANISATION_WEIGHTS, strict=True))
    return "0123456789X0"[11 - total % 11]


def credit_code(rng: Random, district_code: str) -> str:
    """A firm's unified social credit code: 9 = industry and commerce, 1 = enterprise."""
    organisation = "".join(rng.choice(_CREDIT_ALPHABET) for _ in range(8))
    check = organisation_check(organisation)
    while check == "X":  # legal, but some systems refuse it: draw another
        organisation = "".join(rng.choice(_CREDIT_ALPHABET) for _ in range(8))
        check = organisation_check(organisation)
    head = f"91{district_code}{organisation}{check}"
    return head + credit_code_check(head)


def resident_check(head: str) -> str:
    """The 18th character of a resident identity number, from the first 17 (GB 11643-1999)."""
    total = sum(int(c) * w for c, w in zip(head, _RESIDENT_WEIGHTS, strict=True))
    return "10X98765432"[total % 11]


def resident_number(rng: Random, district_code: str, birth_on: date, sex: str) -> str:
    """Sequence 9xx is kept for numbers that are nobody's; odd is male, even female."""
    sequence = 900 + 2 * rng.randrange(50) + (1 if sex == "male" else 0)
    head = f"{district_code}{birth_on:%Y%m%d}{sequence}"
    return head + resident_check(head)


def luhn_check(head: str) -> str:
    """The check digit of a card or account number (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(head)):
        value = int(digit) * (1 if place % 2 else 2)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


PERSON, FIRM, GROUP = "1", "2", "9"


def customer_number(kind: str, ordinal: int) -> str:
    """C, the kind's digit (PERSON, FIRM, GROUP), seven digits."""
    return f"C{kind}{ordinal:07d}"


def is_firm(customer: str) -> bool:
    return customer[1] == FIRM


def account_number(customer: str, ordinal: int) -> str:
    """A customer's n-th account of the simulated bank; the first is 1, where payments arrive."""
    head = f"{_ACCOUNT_PREFIX}{customer[1:]}{ordinal:03d}"
    return head + luhn_check(head)


def masked_phone(rng: Random) -> str:
    """Looks like a mobile number, reaches nobody: the middle four digits are always 0000."""
    prefix = rng.choice(("133", "135", "138", "139", "150", "158", "177", "186", "188"))
    return f"{prefix}0000{rng.randrange(10_000):04d}"
