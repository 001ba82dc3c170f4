"""Spreads the pools of a closing: cost centre -> products -> accounts, to the unit.

A pool is what one cost centre cost in one month. What the rate of its driver charged already (in
the leaves of cost) is taken off; the rest goes to who used the driver, by how much he used it. A
pool that was spread before is spread by the difference only, so a late cost, one that is said
anew, a driver that is another from now on back, all end in the same sums.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import text

from services.scoring.allocation_sql import BOOKED_POOLS, priced, shared_out
from services.scoring.commands.contacts import COSTING
from services.scoring.commands.copying import staged
from services.scoring.queries.events import BOOKED, CONTACTED, FIRST
from services.scoring.rate import CONTACT
from services.scoring.rules.allocating import shared_out as shared_out_here
from services.scoring.settings import home_currency
from shared.db import Tx
from shared.events.bank import AccountClosed, AccountOpened

# Transactions of so many months behind may still come late: their pools are looked at again. An
# opening or a closing is taken however late it is told: those told since the last close say how
# far back the days of open accounts are others now (`FIRST_MONTH_OF_TURNS`).
LATE_MONTHS: Final = 2
ACCOUNT_DAY, ACCOUNT, TRANSACTION, TURNOVER = "account_day", "account", "transaction", "turnover"
NO_DRIVER = ""
_ACCOUNT = "customer_number, account_number, product_code, currency"

LONG = text("set local statement_timeout = '10min'")  # a month of a large bank is read once
USES = """customer_number text, account_number text, product_code text, kind text, channel text,
    driver_code text, many bigint, turnover numeric"""
SPANS = """customer_number text, account_number text, product_code text, begin_on date,
    end_on date, partition int"""
WEIGHTS = "customer_number text, account_number text, product_code text, weight numeric"
NOTHING_STAGED = text("truncate pool_uses, pool_spans")
BOOKED_IN = f"""
      from bank_events e
     where e.type = '{BOOKED}' and e.currency = :currency and e.businessdate >= :first
       and e.businessdate < :following and {FIRST}"""
# By parts of the month in which no rate begins: all days of one have the same drivers, in one
# partition: what one took another may have refused.
NOTE_USES = text(
    f"""
    with parts as (
      select array(select cast(:first as date) union
                   select from_on from cost_rates where from_on > :first and from_on < :following
                    order by 1) as begins),
    uses as materialized (
      select e.customer_number, e.account_number, e.product_code, e.kind, e.partition,
             coalesce(e.channel_code, '') as channel,
             width_bucket(e.businessdate, (select begins from parts)) as part, count(*) as many,
             sum(abs(e.amount_minor)) as turnover {BOOKED_IN} group by 1, 2, 3, 4, 5, 6, 7),
    ways as (
      select w.*, rate.driver_code
        from (select distinct partition, kind, channel, product_code, part from uses) w
        cross join parts
        {priced("w.kind", "w.channel", "w.product_code", "parts.begins[w.part]",
                partition="w.partition", join="left join lateral")} on true)
    insert into pool_uses
    select u.customer_number, u.account_number, u.product_code, u.kind, u.channel, w.driver_code,
           u.many, u.turnover
      from uses u join ways w using (partition, kind, channel, product_code, part)
    """  # noqa: S608 - names are ours
)
# An account is open from the day of an opening on, and no longer on the day of the closing after
# it; then it may open again. What only says again how it is changes nothing (ADR 11). A closing
# that does not name its product or currency is of the account of its number that the worker knew,
# by a transaction where no opening came before: of several it refused it. What it refused first it
# heard when it was replayed, behind all others of its day.
_REPLAYED = """left join worker_letters {letter}
          on ({letter}.topic, {letter}.partition, {letter}.event_offset)
             = ('bank.events', {event}.partition, {event}.event_offset)
         and {letter}.state = 'replayed'"""
_HEARD_LATER = """(coalesce(heard.resolved_at, '-infinity'), o.event_offset)
                    > (coalesce(ended.resolved_at, '-infinity'), e.event_offset)"""
_OF_NUMBER = f"""from bank_events o {_REPLAYED.format(letter="heard", event="o")}
           where e.type = '{AccountClosed.TYPE}' and (e.product_code is null or e.currency is null)
             and o.customer_number = e.customer_number and o.account_number = e.account_number
             and coalesce(e.product_code, o.product_code) = o.product_code
             and coalesce(e.currency, o.currency, :currency) = coalesce(o.currency, :currency)"""
_TURN = "businessdate, heard_at, event_offset"
NOTE_SPANS = text(
    f"""
    with turns as (
      select e.type, e.customer_number, e.account_number, e.businessdate, e.event_offset,
             e.partition, coalesce(ended.resolved_at, '-infinity') as heard_at,
             coalesce(e.product_code, used.product_code, opened.product_code) as product_code,
             coalesce(e.currency, used.currency, opened.currency, :currency) as currency
        from bank_events e {_REPLAYED.format(letter="ended", event="e")}
        left join lateral (
          select o.product_code, o.currency, {_HEARD_LATER} as is_later {_OF_NUMBER}
             and o.type = '{AccountOpened.TYPE}'
           order by is_later, abs(o.event_offset - e.event_offset) limit 1) opened on true
        left join lateral (
          select o.product_code, o.currency {_OF_NUMBER} and o.type = '{BOOKED}'
             and coalesce(opened.is_later, true) and not {_HEARD_LATER} limit 1) used on true
       where e.type in ('{AccountOpened.TYPE}', '{AccountClosed.TYPE}') and {FIRST}),
    told as (
      select *, lag(type) over (partition by {_ACCOUNT} order by {_TURN}) as type_before
        from turns),
    spans as (
      select *, lead(businessdate, 1, :following) over (
                  partition by {_ACCOUNT} order by {_TURN}) as closed_on
        from told where type is distinct from type_before)
    insert into pool_spans
    select customer_number, account_number, product_code, greatest(businessdate, :first),
           least(closed_on, :following), partition
      from spans
     where type = '{AccountOpened.TYPE}' and currency = :currency
       and businessdate < :following and closed_on > greatest(businessdate, :first)
    """  # noqa: S608 - names are ours
)
READ = text("select partition, next_offset from positions where topic = 'bank.events'")
FIRST_MONTH_OF_TURNS = text(
    """
    select to_char(min(e.businessdate), 'YYYY-MM')
      from (select p.partition, coalesce(
                     cast(c.read_until ->> cast(p.partition as text) as bigint), 0) as since
              from positions p
              left join (select read_until from closings order by period desc limit 1) c on true
             where p.topic = 'bank.events') read
      join bank_events e on e.partition = read.partition and e.event_offset >= read.since
     where e.type in ('bank.account_opened.v1', 'bank.account_closed.v1')
    """
)
CHARGED = text(
    f"""
    select rate.driver_code, sum(u.many * rate.value) as minor
      from (select e.partition, e.kind, e.channel_code, e.product_code, e.businessdate,
                   count(*) as many {BOOKED_IN} group by 1, 2, 3, 4, 5) u
      {priced("u.kind", "u.channel_code", "u.product_code", "u.businessdate",
              partition="u.partition")} group by 1
    union all
    select rate.driver_code, sum(rate.value) {COSTING}
       and e.businessdate >= :first and e.businessdate < :following group by 1
    union all
    select '{ACCOUNT_DAY}', sum((least(s.end_on, r.until) - greatest(s.begin_on, r.from_on))
                                * s.accounts * r.value)
      from (select partition, begin_on, end_on, product_code, count(*) as accounts
              from pool_spans group by 1, 2, 3, 4) s
      join (select p.partition, p.product_code, r.from_on, r.value,
                   lead(r.from_on, 1, 'infinity') over (
                     partition by p.partition, p.product_code order by r.from_on) as until
              from (select p.partition, p.product_code, min(r.from_on) as own_from
                      from (select distinct partition, product_code from pool_spans) p
                      left join cost_rates r
                        on r.partition = p.partition and r.driver_code = '{ACCOUNT_DAY}'
                       and r.product_code = p.product_code
                     group by 1, 2) p
              join cost_rates r on r.partition = p.partition and r.driver_code = '{ACCOUNT_DAY}'
               and (r.product_code = p.product_code
                    or r.product_code = '' and r.from_on < coalesce(p.own_from, 'infinity'))) r
        on r.partition = s.partition and r.product_code = s.product_code
       and r.from_on < s.end_on and r.until > s.begin_on
    """  # noqa: S608 - names are ours
)
CONTACTS_IN = f"""select e.customer_number, '', '', count(*) from bank_events e
     where e.type = '{CONTACTED}' and {FIRST} and e.businessdate >= :first
       and e.businessdate < :following
       and :driver_code in ('{CONTACT}', '{CONTACT}/' || e.channel_code) group by 1"""  # noqa: S608
PRICED = text("select distinct driver_code from cost_rates where from_on < :following")
WEIGH: Final = {
    ACCOUNT_DAY: "select customer_number, account_number, product_code, sum(end_on - begin_on)"
                 " from pool_spans group by 1, 2, 3",
    ACCOUNT: "select distinct customer_number, account_number, product_code, 1 from pool_spans",
    TRANSACTION: "select customer_number, account_number, product_code, sum(many)"
                 " from pool_uses group by 1, 2, 3",
    TURNOVER: "select customer_number, account_number, product_code, sum(turnover)"
              " from pool_uses group by 1, 2, 3",
    CONTACT: CONTACTS_IN,
    # Of a driver with a rate: the uses that it was charged for. Else those of its name.
    "use": """select customer_number, account_number, product_code, sum(many) from pool_uses
     where case when :priced then driver_code = :driver_code
                else :driver_code in (kind, kind || '/' || channel) end group by 1, 2, 3""",
}  # fmt: skip
WEIGHING = {
    name: text(f"insert into pool_weights select * from ({sql}) x")  # noqa: S608
    for name, sql in WEIGH.items()
}
NO_WEIGHTS = text("truncate pool_weights")
WEIGHT = text("select coalesce(sum(weight), 0) from pool_weights")
_KNOWN_BY_NOW = "c.period <= :period and to_char(c.booked_on, 'YYYY-MM') <= :period"
# Every month that has something new or may have, with all of its pools.
POOLS = text(
    f"""
    with {BOOKED_POOLS.format(only=_KNOWN_BY_NOW)},
    pools as (
      select origin_period, cost_centre_code, driver_code, coalesce(b.actual, 0) as actual_minor,
             coalesce(t.before, 0) as before_minor,
             coalesce(b.actual, 0) <> coalesce(t.actual, 0) as changed
        from booked b full join told t using (origin_period, cost_centre_code, driver_code))
    select * from pools
     where origin_period >= :recent
        or origin_period in (select origin_period from pools where changed)
     order by origin_period, driver_code, cost_centre_code
    """  # noqa: S608 - names are ours
)
_KEY = "period, origin_period, cost_centre_code, driver_code"
ALLOCATION = text(
    f"""
    insert into allocations ({_KEY}, component, actual_minor, charged_minor, before_minor,
                             amount_minor, weight)
    values (:period, :origin_period, :cost_centre_code, :driver_code, :component, :actual_minor,
            :charged_minor, :before_minor, :amount_minor, :weight)
    """  # noqa: S608 - names are ours
)
_POOL = "cast(:amount_minor as numeric) as pool_minor"
TO_PRODUCTS = text(
    f"""
    insert into allocation_products ({_KEY}, product_code, weight, amount_minor, shared_minor)
    select :period, :origin_period, :cost_centre_code, :driver_code, x.product_code, x.weight,
           x.share_minor, 0
      from ({shared_out(
        f"select '' as part, {_POOL}, product_code, sum(weight) as weight"
        " from pool_weights group by product_code", "product_code")}) x
     where x.weight > 0
    """  # noqa: S608 - names are ours
)
TO_ACCOUNTS = text(
    f"""
    insert into allocation_shares ({_KEY}, product_code, customer_number, account_number, weight,
                                   amount_minor)
    select :period, :origin_period, :cost_centre_code, :driver_code, x.product_code,
           x.customer_number, x.account_number, x.weight, x.share_minor
      from ({shared_out(
        "select w.product_code as part, p.amount_minor as pool_minor, w.*"
        "  from pool_weights w join allocation_products p on p.product_code = w.product_code"
        "   and (p.period, p.origin_period, p.cost_centre_code, p.driver_code)"
        "       = (:period, :origin_period, :cost_centre_code, :driver_code)",
        "customer_number, account_number")}) x
     where x.share_minor <> 0
    """  # noqa: S608 - names are ours
)
_OF_POOL = """(period, origin_period, cost_centre_code, driver_code)
             = (:period, :origin_period, :cost_centre_code, :driver_code)"""
ADD_UP = text(
    f"""
    update allocation_products p set shared_minor = x.shared_minor
      from (select product_code, sum(amount_minor) as shared_minor from allocation_shares
             where {_OF_POOL} group by product_code) x
     where p.product_code = x.product_code and {_OF_POOL}
    """  # noqa: S608 - names are ours
)


def spread(tx: Tx, period: str) -> dict[str, int]:
    """All pools of a month that closes, and of earlier ones what is new. Returns how far each
    partition of `bank.events` had been read before, for the close after this one."""
    tx.session.execute(LONG)
    read = {str(row.partition): row.next_offset for row in tx.session.execute(READ)}
    told_late = tx.session.execute(FIRST_MONTH_OF_TURNS).scalar_one()
    for name, columns in (("uses", USES), ("spans", SPANS), ("weights", WEIGHTS)):
        staged(tx, f"pool_{name}", columns)
    recent = _months_before(period, LATE_MONTHS)
    asked = {"period": period, "recent": min(recent, told_late or recent),
             "currency": home_currency()}  # fmt: skip
    by_origin: defaultdict[str, list[Any]] = defaultdict(list)
    for row in tx.session.execute(POOLS, asked):
        by_origin[row.origin_period].append(row)
    for origin, rows in by_origin.items():
        first = date.fromisoformat(f"{origin}-01")
        month = {"first": first, "following": (first + timedelta(days=31)).replace(day=1),
                 "currency": home_currency()}  # fmt: skip
        charged = _observe(tx, month)
        with_rate = frozenset(tx.session.execute(PRICED, month).scalars())
        for row in rows:
            off = _charged_off(row, rows, charged)
            _spread_one(tx, period, row, off, month, is_priced=row.driver_code in with_rate)
    tx.session.execute(text("analyze allocation_shares, allocation_products"))
    return read


def _observe(tx: Tx, month: Mapping[str, Any]) -> dict[str, int]:
    """Who used what in a month; returns what each driver's rate charged for it."""
    tx.session.execute(NOTHING_STAGED)
    tx.session.execute(NOTE_USES, month)
    tx.session.execute(NOTE_SPANS, month)
    tx.session.execute(text("analyze pool_uses, pool_spans"))
    found = tx.session.execute(CHARGED, month)
    return {row.driver_code: int(row.minor) for row in found if row.minor is not None}


def _charged_off(pool: Any, pools: list[Any], charged: Mapping[str, int]) -> int:
    """What the driver's rate charged of this pool; pools of one driver share it by their cost."""
    costs = {
        one.cost_centre_code: max(int(one.actual_minor), 0)
        for one in pools
        if one.driver_code == pool.driver_code
    }
    parts = shared_out_here(charged.get(pool.driver_code, 0), costs)
    return parts.get(pool.cost_centre_code, 0)


def _spread_one(
    tx: Tx, period: str, pool: Any, charged: int, month: Mapping[str, Any], *, is_priced: bool
) -> None:  # fmt: skip
    driver = pool.driver_code
    weight = _weigh(tx, driver, month, is_priced=is_priced) if driver != NO_DRIVER else 0
    due = int(pool.actual_minor) - charged - int(pool.before_minor)
    amount = due if weight else 0
    if pool.origin_period != period and not amount and not pool.changed:
        return
    row = {
        "period": period, "origin_period": pool.origin_period, "driver_code": driver,
        "cost_centre_code": pool.cost_centre_code,
        "component": "variance" if is_priced else "overhead",
        "actual_minor": int(pool.actual_minor), "charged_minor": charged,
        "before_minor": int(pool.before_minor), "amount_minor": amount, "weight": weight,
    }  # fmt: skip
    tx.session.execute(ALLOCATION, row)
    if amount:
        tx.session.execute(TO_PRODUCTS, row)
        tx.session.execute(TO_ACCOUNTS, row)
        tx.session.execute(ADD_UP, row)


def _weigh(tx: Tx, driver: str, month: Mapping[str, Any], *, is_priced: bool) -> int:
    """How much each account, or customer, used the driver in the month; returns the sum."""
    kind = driver.partition("/")[0]
    tx.session.execute(NO_WEIGHTS)
    tx.session.execute(
        WEIGHING[kind if kind in WEIGHING else "use"],
        {**month, "driver_code": driver, "priced": is_priced},
    )
    tx.session.execute(text("analyze pool_weights"))
    return int(tx.session.execute(WEIGHT).scalar_one())


def _months_before(period: str, many: int) -> str:
    year, month = divmod(int(period[:4]) * 12 + int(period[5:]) - 1 - many, 12)
    return f"{year:04d}-{month + 1:02d}"
