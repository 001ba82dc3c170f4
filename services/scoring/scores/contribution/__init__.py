"""The contribution: exact leaves by account, product, component and business period.

Inputs: transactions, openings and closings of accounts, loans granted; effective-dated rates.
State: a ledger of each account or loan (`rows.LEDGER_FIELDS`) with a tail of entries: balance
changes by day (the open days, and a month behind them) and leaves that are not posted yet.
Terms: the leaves; each is the rounded part of an exact sum, and what is not posted is carried.
`limbs` is the arithmetic, `months` the calendar, `rates` the prefix sums, `entries` the tail,
`ledger` the accrual and posting, `corrections` what comes late, `booking` one event.
"""
