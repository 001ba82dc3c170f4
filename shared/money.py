"""Money: an integer of minor units and a currency. A value that does not fit is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

MINOR_MAX: Final = 2**53  # what every JSON reader holds exactly
_DIGITS_MAX: Final = 40

# ISO 4217 list one, without funds, metals and test codes. Babel's digits are CLDR's and differ.
_TWO_DIGITS = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF
CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL
HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP
MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD
SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS
VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"

EXPONENTS: Final[dict[str, int]] = {
    **dict.fromkeys(_TWO_DIGITS.split(), 2),
    **dict.fromkeys(_NO_DIGITS.split(), 0),
    **dict.fromkeys(_THREE_DIGITS.split(), 3),
}


class AmountError(ValueError):
    """An amount that is not exact, too large, or of an unknown or another currency."""


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """`minor` units of `currency` (ISO 4217); 12.30 CNY is Money(1230, "CNY")."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise AmountError(f"minor units are an int, not {type(self.minor).__name__}")
        if abs(self.minor) > MINOR_MAX:
            raise AmountError(f"{self.minor} is beyond 2^53 minor units")
        if self.currency not in EXPONENTS:
            raise AmountError(f"{self.currency!r} is no ISO 4217 currency")

    @classmethod
    def of(cls, amount: Decimal | int | str, currency: str) -> "Money":
        """From major units, exactly. Raises AmountError for a digit too many, or a float."""
        if isinstance(amount, bool) or not isinstance(amount, (Decimal, int, str)):
            raise AmountError(f"an amount is a Decimal, int or text, not {type(amount).__name__}")
        try:
            value = Decimal(amount)
        except InvalidOperation:
            raise AmountError(f"{amount!r} is no number") from None
        return cls(_minor_of(value, currency), currency)

    def major(self) -> Decimal:
        """In major units, exactly, with all digits of the currency."""
        return Decimal(self.minor).scaleb(-EXPONENTS[self.currency])

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.minor <= self._same(other)

    def _same(self, other: "Money") -> int:
        if self.currency != other.currency:
            raise AmountError(f"{self.currency} and {other.currency} do not mix")
        return other.minor

    def format(self, language: str = "zh-CN") -> str:
        """For people: sign, thousands, all digits of the currency, a real minus."""
        from babel.numbers import format_currency, get_currency_symbol

        locale = language.replace("-", "_")
        gap = "\N{NO-BREAK SPACE}" if get_currency_symbol(self.currency, locale).isalpha() else ""
        text: str = format_currency(
            self.major(),
            self.currency,
            format=f"¤{gap}#,##0.{'0' * EXPONENTS[self.currency]}".rstrip("."),
            locale=locale,
            currency_digits=False,
        )
        return text.replace("-", "\N{MINUS SIGN}")


def _minor_of(value: Decimal, currency: str) -> int:
    if currency not in EXPONENTS:
        raise AmountError(f"{currency!r} is no ISO 4217 currency")
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise AmountError(f"{value} is no amount")
    shift = exponent + EXPONENTS[currency]
    if len(digits) + abs(shift) > _DIGITS_MAX:
        raise AmountError(f"{value} does not fit")
    whole = int("".join(map(str, digits)))
    if shift >= 0:
        minor = whole * int(10**shift)
    else:
        minor, rest = divmod(whole, 10**-shift)
        if rest:
            raise AmountError(f"{value} has more digits than {currency} has")
    return -minor if sign else minor


def allocate(total_minor: int, weights: Sequence[int]) -> list[int]:
    """Shares a total by weights, largest remainder first, ties by index; the parts sum exactly.

    The parts of -n are the negated parts of n. Raises ValueError without a positive weight.
    """
    if any(w < 0 for w in weights) or sum(weights) <= 0:
        raise ValueError("weights are not negative and at least one is positive")
    weight_sum = sum(weights)
    sign = -1 if total_minor < 0 else 1
    parts: list[int] = []
    rests: list[tuple[int, int]] = []
    for index, weight in enumerate(weights):
        part, rest = divmod(abs(total_minor) * weight, weight_sum)
        parts.append(part)
        rests.append((-rest, index))
    missing = abs(total_minor) - sum(parts)
    for _, index in sorted(rests)[:missing]:
        parts[index] += 1
    return [sign * part for part in parts]
