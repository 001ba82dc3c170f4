"""What the pages of the contribution show: totals by a dimension with their shares, and charts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from services.scoring.pages import words
from services.scoring.queries import contribution, earned, names
from services.scoring.queries.contribution import Sum, Totals
from services.scoring.queries.earned import Selection
from services.scoring.rules.concentration import MILLION, Curve, curve_of
from services.scoring.rules.hierarchy import staff_of_codes, supervisors_of
from shared.directory import Directory
from shared.reach import Reach

ROWS_MAX = 50  # what is beyond stands in one row, so that a table adds up
POINTS_MAX = 60
REST = "…"
MARGINAL: Final = ("fee", "interest_paid", "interest_recv", "abc_txn", "contact")
BELOW_TOTAL: Final = ("el", "capital", "variance", "overhead", "tax")
_GROUPED: Final = {"line": "product", "supervisor": "manager"}


@dataclass(frozen=True, slots=True)
class Row:
    """One code of a dimension. `label`: an id whose name the page asks for; `rest`: all others."""

    code: str
    name: Any
    label: str
    sum: Sum
    share_ppm: int | None
    rest: int = 0


@dataclass(frozen=True, slots=True)
class Value:
    """The contribution that a reader may see."""

    whole: Sum
    components: dict[str, Sum]
    rows: list[Row]
    residual_minor: int
    curve: Curve
    moved: list[Any]
    last_period: str

    @property
    def profit(self) -> "Profit":
        return Profit(self.components)


@dataclass(frozen=True, slots=True)
class Profit:
    """The three levels of profit of a contribution's components."""

    components: Mapping[str, Sum]

    @property
    def marginal(self) -> Sum:
        """What an event more would bring: fees and interest, less the work that it makes."""
        return self._of(*MARGINAL)

    @property
    def total(self) -> Sum:
        """Before expected loss, the charge for capital, what is spread from pools and tax."""
        return self._of(*(code for code in self.components if code not in BELOW_TOTAL))

    @property
    def net(self) -> Sum:
        return self._of(*self.components)

    def _of(self, *codes: str) -> Sum:
        found = Sum()
        for code in codes:
            found = found.plus(self.components.get(code, Sum()))
        return found


class Groups:
    """Which codes stand together: products of a line, managers of a supervisor."""

    def __init__(self, session: Session, directory: Directory) -> None:
        self.products = names.products(session)
        self.branches = names.branches(session)
        self._staff = directory.records("staff")
        self._above = supervisors_of(self._staff, directory.records("department").values())
        self._staff_of = staff_of_codes(self._staff)

    def group_of(self, way: str, code: str) -> str:
        if way == "line":
            product = self.products.get(code)
            return product.line_code if product else ""
        return self._above.get(code, "")

    def described(self, way: str, code: str) -> tuple[Any, str]:
        """Name (a msgid, a text in both languages, a person's, the code) and a label's id."""
        if not code:
            return words.NOWHERE.get(way, words.OPEN), ""
        if way == "component":
            return words.COMPONENTS.get(code, code), ""
        if way in ("line", "channel"):
            return (words.LINES if way == "line" else words.CHANNELS).get(code, code), ""
        if way == "product" and code in self.products:
            return self.products[code].names, ""
        if way in ("branch", "branch_now") and code in self.branches:
            return self.branches[code], ""
        if way == "supervisor":
            return self._of_staff(code, code)
        if way in ("manager", "manager_now") and code in self._staff_of:
            return self._of_staff(self._staff_of[code], code)
        return code, ""

    def _of_staff(self, staff_id: str, code: str) -> tuple[str, str]:
        return self._staff.get(staff_id, {}).get("name") or code, f"staff:{staff_id}"


def sums_by(found: Totals, way: str, groups: Groups) -> dict[str, Sum]:
    """The sum of each code of a dimension."""
    if way == "component":
        return found.by_component()
    sums: dict[str, Sum] = {}
    for code, value in found.by_code(_GROUPED.get(way, way)).items():
        key = groups.group_of(way, code) if way in _GROUPED else code
        sums[key] = sums.get(key, Sum()).plus(value)
    return sums


def coded(way: str) -> tuple[str, ...]:
    """The dimensions whose codes a page by this way needs."""
    return ("month", _GROUPED.get(way, way))


def selection(found: Totals, way: str, code: str, posted: bool, groups: Groups) -> Selection:
    """The leaves of one row: of all codes that stand together under it."""
    if way not in _GROUPED:
        return Selection(way, (code,), posted)
    codes = found.by_code(_GROUPED[way])
    members = tuple(sorted(one for one in codes if groups.group_of(way, one) == code))
    return Selection(way, members, posted)


def rows_of(sums: Mapping[str, Sum], way: str, bank: Sum, groups: Groups) -> list[Row]:
    """Greatest first (months latest first), all that is beyond the page in one row."""
    known = sorted(
        (c for c, s in sums.items() if s != Sum()), key=lambda c: (-sums[c].both_minor, c)
    )
    if way == "month":
        known.sort(key=lambda c: (c == "", c), reverse=True)
    rows = [
        Row(code, *groups.described(way, code), sums[code], share_ppm(sums[code], bank))
        for code in known[:ROWS_MAX]
    ]
    beyond = known[ROWS_MAX:]
    if beyond:
        rest = Sum()
        for code in beyond:
            rest = rest.plus(sums[code])
        rows.append(Row(REST, REST, "", rest, share_ppm(rest, bank), len(beyond)))
    return rows


def share_ppm(part: Sum, bank: Sum) -> int | None:
    """The contribution rate (贡献率): of the bank's sum; of nothing or a loss there is none."""
    return part.both_minor * MILLION // bank.both_minor if bank.both_minor > 0 else None


def value(session: Session, reach: Reach, way: str, today: Any, directory: Directory) -> Value:
    """One snapshot of all that the reader may see."""
    found = contribution.totals(session, reach, coded(way))
    bank = found.whole() if reach.everything else contribution.bank(session)
    groups = Groups(session, directory)
    slices = contribution.slices(session, reach)
    sums = sums_by(found, way, groups)
    shown = Sum()
    for one in sums.values():
        shown = shown.plus(one)
    ways = {dimension: found.whole(dimension) for dimension in contribution.KEPT}
    residual = contribution.residual_minor(ways | {"shown": shown})
    if reach.everything:  # a party may have numbers that somebody else answers for
        parties = sum(one.sum_minor for one in slices) + contribution.without_party(session)
        residual = max(residual, abs(parties - found.whole().both_minor))
    return Value(
        whole=found.whole(),
        components=found.by_component(),
        rows=rows_of(sums, way, bank, groups),
        residual_minor=residual,
        curve=curve_of(slices),
        moved=earned.moved_most(session, reach, today),
        last_period=max((code for code in found.by_code("month") if code), default=""),
    )


def waterfall(components: Mapping[str, Sum], unit: float) -> list[dict[str, Any]]:
    """Bars that begin where the one before ends, in units of the currency; the last is the sum."""
    bars, at = [], 0
    for code in (*words.COMPONENTS, *sorted(components.keys() - words.COMPONENTS.keys())):
        amount = components.get(code, Sum()).both_minor
        if amount:
            bars.append({"code": code, "from": at / unit, "to": (at + amount) / unit})
            at += amount
    return [*bars, {"code": "", "from": 0, "to": at / unit}] if bars else []


def points(curve: Curve) -> list[list[float]]:
    """The curve in percent, thinned to what a chart can show."""
    step = max(len(curve.points) // POINTS_MAX, 1)
    kept = [*curve.points[::step], curve.points[-1]]
    return [[x / 10_000, y / 10_000] for x, y in dict.fromkeys(kept)]
