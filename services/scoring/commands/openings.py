"""Openings of accounts: where and by which channel, and who holds the account from that day on."""

from collections.abc import Collection, Sequence
from typing import Any

import structlog
from prometheus_client import Counter
from sqlalchemy import text

from services.scoring.commands import sharing
from services.scoring.rules.sharing import shares_of
from services.scoring.settings import home_currency
from shared.db import Tx
from shared.events.bank import AccountOpened
from shared.events.envelope import Event

log = structlog.get_logger()
REFUSED = Counter("guanxi_shares_refused_total", "Openings whose shares of holders were refused")

OPENING = text(
    """
    insert into account_openings (customer_number, account_number, event_offset, product_code,
                                  on_date, branch_code, channel_code, shares_refused)
    values (:customer_number, :account_number, :event_offset, :product_code, :on_date,
            :branch_code, :channel_code, :shares_refused)
    on conflict do nothing
    """
)
HOLDER = text(
    """
    insert into account_holders (owner_number, account_number, event_offset, holder_number, weight)
    values (:owner_number, :account_number, :event_offset, :holder_number, :weight)
    on conflict do nothing
    """
)
FORGET_OPENINGS = text(
    """
    delete from account_openings o
     using unnest(cast(:numbers as text[]), cast(:offsets as bigint[])) as x(number, at)
     where o.customer_number = x.number and o.event_offset = x.at
    """
)
FORGET_HOLDERS = text(
    """
    delete from account_holders h
     using unnest(cast(:numbers as text[]), cast(:offsets as bigint[])) as x(number, at)
     where h.owner_number = x.number and h.event_offset = x.at
    """
)


def numbers_of(events: Collection[Event[Any]]) -> set[str]:
    """Whose figures these events may move: those who hold accounts with the customers, too."""
    return {
        number
        for event in events
        for number in (
            event.data.customer_number,
            *(h.customer_number for h in getattr(event.data, "holders", ())),
        )
    }


def note_openings(tx: Tx, openings: Sequence[tuple[int, Event[AccountOpened]]]) -> None:
    """Openings with their offsets, perhaps late, perhaps of new holders: what they concern is
    given out anew. An account in another currency has no leaves that it could say anything of."""
    openings = [one for one in openings if one[1].data.currency == home_currency()]
    if not openings:
        return
    told, held = [], []
    for offset, event in openings:
        fact = event.data
        shares = shares_of(
            fact.customer_number, [(h.customer_number, h.share_ppm) for h in fact.holders]
        )
        if shares.refused:
            REFUSED.inc()
            log.error("shares_refused", account_number=fact.account_number, why=shares.refused)
        place = {"account_number": fact.account_number, "event_offset": offset}
        told.append(
            {
                **place,
                "customer_number": fact.customer_number,
                "product_code": fact.product_code,
                "on_date": event.businessdate,
                "branch_code": fact.branch_code,
                "channel_code": fact.channel_code,
                "shares_refused": shares.refused,
            }
        )
        held += [
            {**place, "owner_number": fact.customer_number, "holder_number": n, "weight": weight}
            for n, weight in shares.weights.items()
        ]
    sharing.prepare_moves(tx, numbers_of([event for _, event in openings]))
    tx.session.execute(OPENING, told)
    if held:
        tx.session.execute(HOLDER, held)
    opened = {(e.data.customer_number, e.data.account_number) for _, e in openings}
    sharing.share_anew(tx, opened & sharing.joint_accounts(tx, {number for number, _ in opened}))


def forget_openings(tx: Tx, openings: Collection[tuple[str, str, int]]) -> None:
    """The worker refused these (owner, account, offset): who held before holds again."""
    numbers = {number for number, _, _ in openings}
    sharing.prepare_moves(tx, numbers)
    joint = sharing.joint_accounts(tx, numbers) & {(n, account) for n, account, _ in openings}
    asked = {"numbers": [n for n, _, _ in openings], "offsets": [at for _, _, at in openings]}
    tx.session.execute(FORGET_OPENINGS, asked)
    tx.session.execute(FORGET_HOLDERS, asked)
    sharing.share_anew(tx, joint)
