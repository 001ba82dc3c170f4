"""`rules.allocating` as SQL, for pools of more accounts than a process should hold."""

# ruff: noqa: S608 - names are ours, never from outside

from typing import Final

from services.scoring.leaf_sql import last_day

# The pools: what each cost centre cost in a month by the driver that spreads it, as the bank says
# it now, beside what the last close knew and all closes spread. A pool that the bank described is
# spread as described, another one by the driver that came with the cost.
BOOKED_POOLS: Final = f"""booked as (
      select c.period as origin_period, c.cost_centre_code,
             case when p.described then coalesce(p.driver_code, '')
                  else coalesce(c.driver_code, '') end as driver_code,
             sum(c.amount_minor) as actual
        from costs c
        left join lateral (
          select p.driver_code, true as described from cost_pools p
           where p.cost_centre_code = c.cost_centre_code and p.from_on <= {last_day("c.period")}
           order by p.from_on desc limit 1) p on true
       where length(c.period) = 7 and c.currency = :currency and {{only}}
       group by 1, 2, 3),
    told as (
      select origin_period, cost_centre_code, driver_code, sum(amount_minor) as before,
             (array_agg(actual_minor order by period desc))[1] as actual
        from allocations group by 1, 2, 3)"""


def shared_out(source: str, ties: str) -> str:
    """A select of all columns of `source` and of `share_minor`.

    `source` has the columns part, pool_minor and weight (numeric, not below zero): the rows of a
    part share its pool. `ties` are the columns of the leaf's id, compared as codes.
    """
    by_id = ", ".join(f'{name} collate "C"' for name in ties.split(", "))
    return f"""
      select z.*, sign(z.pool_minor) * (z.rounded + case when z.place <= z.remain then 1 else 0 end)
               as share_minor
        from (
          select y.*, abs(y.pool_minor) - sum(y.rounded) over (partition by y.part) as remain,
                 row_number() over (partition by y.part order by y.remainder desc, {by_id}) as place
            from (
              select x.*, div(abs(x.pool_minor) * x.weight, x.whole) as rounded,
                     mod(abs(x.pool_minor) * x.weight, x.whole) as remainder
                from (select s.*, sum(s.weight) over (partition by s.part) as whole
                        from ({source}) s) x
               where x.whole > 0) y) z"""


# Beside the partitions: whose rates are the bank's and no worker's to take (contacts).
OF_BANK: Final = -1


def priced(
    kind: str, channel: str, product: str, day: str, *, partition: str,
    join: str = "cross join lateral",
) -> str:  # fmt: skip
    """What one use costs on a day, as a lateral `rate` (none: it has no rate), by the rates that
    its partition took.

    The nearest of the rates in force on the day, as the worker finds it
    (`scores/contribution/rates.py`): of kind and channel or of the kind, of the product or of all.
    """
    return f"""{join} (
        select r.driver_code, r.value from cost_rates r
         where r.partition = {partition}
           and r.driver_code in ({kind}, {kind} || '/' || {channel})
           and r.product_code in ({product}, '') and r.from_on <= {day}
         order by r.driver_code = {kind}, r.product_code = '', r.from_on desc limit 1) rate"""
