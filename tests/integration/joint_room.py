"""Joint accounts of the small bank: their openings, and what each holder must have by the rule."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import text

from services.scoring import state_columns
from services.scoring.commands.store import store_events
from services.scoring.leaf_sql import KERNEL_PARTS, LEAF_KEY
from services.scoring.open_leaf import COLUMNS
from services.scoring.rules.allocating import shared_out
from services.scoring.rules.sharing import shares_of
from shared.events import bank
from shared.events.envelope import encode
from shared.testing.space import ServiceUnderTest
from shared.wire import Record
from tests.integration.scoring_room import rows
from tests.ledger_bank import CURRENCY, event_of
from tests.scored import Scored

JOINT = ("C0", "0")  # owner and account
PARTS = tuple(KERNEL_PARTS)
Rows = dict[tuple[str, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Opening:
    """An opening of the joint account, and where it stands on `bank.events`."""

    on: date
    holders: tuple[tuple[str, int], ...]
    offset: int
    account: tuple[str, str] = JOINT
    channel: str | None = "mobile"

    def fact(self) -> bank.AccountOpened:
        number, account = self.account
        return bank.AccountOpened(
            customer_number=number, account_number=account, product_code="CA", currency=CURRENCY,
            opened_on=self.on, channel_code=self.channel, branch_code="SH01",
            holders=tuple(bank.Holder(customer_number=n, role="holder", share_ppm=share)
                          for n, share in self.holders),
        )  # fmt: skip

    def record(self) -> Record:
        event = event_of(self.fact(), f"opening-{self.offset}", self.on)
        return Record("bank.events", 0, self.offset, self.account[0].encode(), encode(event), 0)


def tell(scoring: ServiceUnderTest, *openings: Opening) -> None:
    with scoring.database.transaction() as tx:
        store_events(tx, [one.record() for one in openings])


def weights_at(openings: Iterable[Opening], end: date | None) -> Mapping[str, int]:
    """The shares that hold at the end of a month, or the latest: found here in another way."""
    told = sorted(openings, key=lambda one: (one.on, one.offset))
    if not told:
        return {}
    by_then = [one for one in told if end is None or one.on <= end]
    first = [one for one in told if one.on == told[0].on]
    chosen = (by_then or first)[-1]
    return shares_of(chosen.account[0], chosen.holders).weights


def month_end(period: str) -> date:
    first = date.fromisoformat(f"{period}-01")
    return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def posted_parts(scored: Scored, openings: Sequence[Opening]) -> Rows:
    """Every leaf of the worker in its holders' parts, by the key of a row."""
    found: Rows = {}
    for leaf in scored.posted.values():
        key = leaf.identity()
        whole = {leaf.customer_number: leaf.amount_minor}
        if (leaf.customer_number, leaf.account_number) == JOINT:
            weights = weights_at(openings, month_end(leaf.origin_period))
            parts = shared_out(leaf.amount_minor, weights)
            whole = {leaf.customer_number: 0, **parts} if weights else whole
        for number, amount in whole.items():
            owner = "" if number == leaf.customer_number else leaf.customer_number
            if amount or not owner:
                found[number, *key[1:], owner] = (amount,)
    return found


def open_parts(owner_only: Rows, openings: Sequence[Opening]) -> Rows:
    """What is open in the holders' parts, of the rows that there are without shares."""
    found: Rows = {}
    weights = weights_at(openings, None)
    for key, amounts in owner_only.items():
        if key[:2] != JOINT or not weights:
            found[key] = amounts
            continue
        parts: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(PARTS))
        for n, amount in enumerate(amounts):
            for number, share in shared_out(amount, weights).items():
                parts[number][n] = share
        for number in {*parts, key[0]}:
            is_owner = number == key[0]
            if is_owner or any(parts[number]):
                found[number, *key[1:-1], "" if is_owner else key[0]] = tuple(parts[number])
    return found


def posted_rows(scoring: ServiceUnderTest) -> Rows:
    found = rows(scoring, f"select {', '.join(LEAF_KEY)}, amount_minor from leaves")  # noqa: S608
    return {row[:-1]: row[-1:] for row in found}


def open_rows(scoring: ServiceUnderTest) -> Rows:
    key = "customer_number, account_number, loan_number, product_code, owner_number"
    found = rows(scoring, f"select {key}, {', '.join(PARTS)} from open_leaves")  # noqa: S608
    return {row[:5]: row[5:] for row in found}


def forget_all(scoring: ServiceUnderTest) -> None:
    """As if nothing had ever been told."""
    with scoring.database.transaction() as tx:
        tx.session.execute(text(
            """truncate leaves, open_leaves, contribution_totals, owner_totals, month_totals,
                 customer_months, customer_components, moved, party_slices, party_figures, numbers,
                 account_openings, account_holders, bank_events, customer_state, account_figures,
                 folded_totals, untaxed, outflows_waiting,
                 partial_managers, alerts_held, alerts_held_along, figures_of_before"""
        ))  # fmt: skip


def uses_of(record: Record) -> list[int]:
    """What the joint account's uses cost, as a state record says."""
    read = state_columns.read([record.value or b""])
    column = list(COLUMNS).index("uses")
    places = zip(read.text_begins[:, 0], read.text_lengths[:, 0], strict=True)
    return [int(read.accrued[n, column]) for n, (at, size) in enumerate(places)
            if read.data[at : at + size].decode() == JOINT[1]]  # fmt: skip
