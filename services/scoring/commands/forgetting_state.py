"""Takes back all that rests on the worker's state and leaves, before both are made anew.

Inputs are not read again, and a refusal is told anew where it is one again: an event that waited
may count at its own place by now. A replay from before would count it once more.

What is posted of other things stays: contacts, pools, tax. Every sum follows by the same moves
that made it, so the pages are exact at each step; a later close posts what tax and pools differ by.
Nobody may listen meanwhile. Once begun it must be brought to its end, perhaps by another run.
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import text

from services.scoring.commands import contribution, holding_alerts, left_over, worker_letters
from services.scoring.commands.contribution import MOVE
from services.scoring.leaf_sql import KERNEL_PARTS, PLACE, PLACES, columns, open_values
from services.scoring.settings import home_currency
from shared.db import Database, Tx

CHUNK = 500  # numbers in one transaction
LETTERS = 100  # with their events
TOPICS: Final = [
    "scoring.dead", "scoring.inputs", "scoring.leaves", "scoring.signals", "scoring.state",
    "scoring.totals",
]  # fmt: skip
COMPONENTS: Final = sorted({component for component, _ in KERNEL_PARTS.values()})
NEXT = text(
    "select customer_number from numbers where customer_number > :after order by 1 limit :limit"
)
# What a customer costs beside his accounts is a row without one: it is not the worker's.
TAKE_BACK = text(
    f"""
    with posted as (
      delete from leaves where customer_number = any(:numbers) and component = any(:components)
      returning *),
    accrued as (
      delete from open_leaves
       where customer_number = any(:numbers) and (account_number, loan_number) <> ('', '')
      returning *)
    {MOVE}
    select customer_number, product_code, component, period, {PLACE}, -amount_minor, 0 from posted
    union all
    select o.customer_number, v.product_code, v.component, '', {columns("o", PLACES)}, 0,
           -v.amount_minor
      from accrued o {open_values("o.{name}", KERNEL_PARTS)}
     where v.amount_minor <> 0
    """  # noqa: S608 - names are ours
)
# Signals of a release in which they bore no product: the workers tell them again with theirs, and
# end that. Of a number that is of several products nobody can say which was meant: those go.
_OF_NOW = """
      select g.id as old_id, min(a.product_code) as product_code,
             count(distinct a.product_code) = 1 as is_known,
             concat_ws('/', g.rule, g.customer_number, g.account_number, min(a.product_code),
                       g.episode, g.kind) as new_id
        from signals g left join account_figures a
             on (a.customer_number, a.account_number) = (g.customer_number, g.account_number)
            and a.currency = :currency
       where g.customer_number = any(:numbers) and g.account_number <> '' and g.product_code = ''
       group by g.id"""
WITHOUT_PRODUCT = (
    text(
        f"""
        with bare as ({_OF_NOW}),
        told as (
          update alerts t set signal_id = b.new_id
            from bare b where t.signal_id = b.old_id and b.is_known)
        delete from signals g using bare b
         where g.id = b.old_id
           and (not b.is_known or exists (select 1 from signals n where n.id = b.new_id))
        """  # noqa: S608 - ours
    ),
    text(
        f"""
        with bare as ({_OF_NOW})
        update signals g set id = b.new_id, product_code = b.product_code
          from bare b where g.id = b.old_id
        """  # noqa: S608 - ours
    ),
)
# Else the state of an event that is known already, with fewer inputs, counts for an older one.
OLDER = text(
    """
    update customer_state set input_sequence = -1, state_offset = -1
     where customer_number = any(:numbers)
    """
)
# What the worker took of the bank's reference data; what contacts cost is not its own.
TAKEN = (
    text("delete from cost_rates where split_part(driver_code, '/', 1) <> 'contact'"),
    text("delete from overdrafts"),
    text("delete from rolls"),
)
UNSENT = text("delete from outbox where topic = 'scoring.inputs'")
# The place of the last total: the next ones begin before it.
TOLD = text("delete from control_totals")
# The first time counts: alerts that are held anew stood still before.
HELD_SINCE = text("update alerts_held set held_at = :now where held_at is null")
# Other topics will stand under these names: their letters would have the same places.
PLACES_IN_LOGS = (
    text("delete from dead_letters where topic = any(:topics)"),
    text("delete from tallies where topic = any(:topics)"),
    text("delete from positions where topic = any(:topics)"),
    text("delete from worker_letters where topic = any(:topics)"),
)


def forget_state(database: Database) -> Iterator[int]:
    """Step by step; says of how many customers each was."""
    with database.transaction() as tx:
        holding_alerts.hold(tx)
    _forget_letters(database)
    after = ""
    while True:
        with database.transaction() as tx:
            numbers = list(tx.session.execute(NEXT, {"after": after, "limit": CHUNK}).scalars())
            if not numbers:
                _forget_places(tx)
                return
            contribution.prepare_moves(tx, numbers)
            tx.session.execute(TAKE_BACK, {"numbers": numbers, "components": COMPONENTS})
            tx.session.execute(OLDER, {"numbers": numbers})
            for statement in WITHOUT_PRODUCT:
                asked = {"numbers": numbers, "currency": home_currency()}
                tx.session.execute(statement, asked)
            holding_alerts.mark(tx, numbers)
            contribution.count_moves(tx)
        after = numbers[-1]
        yield len(numbers)


def _forget_letters(database: Database) -> None:
    gone = LETTERS
    while gone:
        with database.transaction() as tx:
            gone = worker_letters.forget_letters(tx, LETTERS)


def _forget_places(tx: Tx) -> None:
    left_over.note(tx)
    for statement in (*TAKEN, UNSENT, TOLD):
        tx.session.execute(statement)
    tx.session.execute(HELD_SINCE, {"now": tx.wall_now})
    for statement in PLACES_IN_LOGS:
        tx.session.execute(statement, {"topics": TOPICS})
