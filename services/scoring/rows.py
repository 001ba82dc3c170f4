"""The fixed-width rows of the worker's state, and the numbers that name columns and verdicts.

All fields are 64-bit integers, so a row is also a run of words: what the changelog carries.
"""

from typing import Final

import numpy as np

CUSTOMER_FIELDS: Final = (
    "offset",  # of `bank.events`, the last one applied to this row
    "input_sequence",  # of `scoring.inputs`, the last of this customer applied to this row
    "count",  # transactions
    "customer_count",  # of them initiated by the customer
    "sum_minor",  # in the bank's own currency: the balance of all accounts
    "activity",
    "activity_on",
    "first_on",
    "last_on",
    "mean_minor",
    "mean_on",
    "outflow",
    "outflow_episode",
    "recovers_on",
    "silence",
    "silence_episode",
    "silent_on",
    "last_away",  # what his accounts no longer say of his last absence: `leaving.kept`; 0: nothing
)
ACCOUNT_FIELDS: Final = (
    "sum_minor",
    "count",
    "last_on",
    "closed_on",  # and since when it is open: `scores/turns.py`; 0: nothing is known of it yet
    "booked_on",  # on which of the days up to `last_on`, one bit each: `scores/turns.py`
)

LEDGER_FIELDS: Final = (
    "settled_on",  # the first day that is not accrued yet; 0: there is no ledger
    "balance",  # at the end of the day before it
    "open",  # since which day it is: it costs its upkeep; closed: less than 0; see `turned`
    "kept_from",  # balances from this day on follow from the entries; 0: all
    "old_min",  # bounds of the balances before it
    "old_max",
    "total",  # of all balance changes, also of days to come
    "turnover",  # of their magnitudes: bounds whatever is added up from them
    "restated",  # the number of the last restatement that it was corrected by
    "upkeep",
    "upkeep_posted",  # minor units of it that stand in posted leaves
    "net_high",  # exact sum of balance times margin, in two limbs
    "net_low",
    "net_posted",
    "debit_high",  # the same of negative balances, where they are another product's
    "debit_low",
    "debit_posted",
    "loss_high",  # expected loss, in ppm of ppm
    "loss_low",
    "loss_posted",
    "capital_high",  # the charge for capital, in ppm of ppm
    "capital_low",
    "capital_posted",
)  # what most accounts have none of comes last: a record leaves trailing zeros out

CUSTOMER: Final = np.dtype([(name, "<i8") for name in CUSTOMER_FIELDS])
ACCOUNT: Final = np.dtype([(name, "<i8") for name in ACCOUNT_FIELDS])
CUSTOMER_WORDS: Final = len(CUSTOMER_FIELDS)
ACCOUNT_WORDS: Final = len(ACCOUNT_FIELDS)
LEDGER_WORDS: Final = len(LEDGER_FIELDS)

# What became of one event
APPLIED: Final = 0
REDELIVERED: Final = 1  # at or below the row's offset, or its sequence of inputs
DUPLICATE: Final = 2  # sent again by its producer
BEYOND_RANGE: Final = 3  # a sum would leave 2**61 minor units
BEYOND_HISTORY: Final = 4  # back-valued to where the balances are no longer known
NOT_OPEN: Final = 5  # a closing of before the account's opening
CLOSED_LATER: Final = 6  # an opening or closing of before the account's last closing
OPENED_LATER: Final = 7  # an opening of before the one that it is open by

# Flags of an event's column
BY_CUSTOMER: Final = 1
HOME_CURRENCY: Final = 2
SEEN_BEFORE: Final = 4
INPUT: Final = 8  # comes by `scoring.inputs`
IN_LEDGER: Final = 16  # has a price: it is booked in the contribution

# What an event is to the contribution; from OPENED on it is no transaction
PLAIN: Final = 0
FEE: Final = 1
PAID: Final = 2
RECEIVED: Final = 3
INSTALMENT: Final = 4
OPENED: Final = 8
CLOSED: Final = 9
GRANTED: Final = 10
GRADED: Final = 11

# Rules and kinds of a signal
OUTFLOW: Final = 0
SILENCE: Final = 1
RAISED: Final = 1
CLEARED: Final = 0
LEFT: Final = 2  # cleared too: the customer has no open account any more

# Components of a leaf as the kernel numbers them; an open leaf of the first four has two limbs
NET, NET_LOW, DEBIT, DEBIT_LOW, LOSS, LOSS_LOW, CAPITAL, CAPITAL_LOW = range(8)
UPKEEP, INTEREST_PAID, INTEREST_RECEIVED, FEES, USES = range(8, 13)

# Columns of a leaf row
LEAF_WORDS: Final = 6
(
    F_EVENT,  # index in its batch of the event that posted it; -1: asked for
    F_ACCOUNT,
    F_COMPONENT,
    F_PERIOD,
    F_ORIGIN,
    F_AMOUNT,
) = range(LEAF_WORDS)

# Columns of a signal row
SIGNAL_WORDS: Final = 11
(
    S_EVENT,  # index of the causing event in its batch; -1: the watermark
    S_ROW,
    S_RULE,
    S_KIND,
    S_EPISODE,
    S_ON,  # day number of the bank
    S_BALANCE,
    S_MEAN,
    S_LAST_ON,
    S_GAP,
    S_OFFSET,
) = range(SIGNAL_WORDS)

# The word of closings, three days beside each other (`scores/turns.py`): until the year 5741
SINCE_SHIFT: Final = 21
BEFORE_SHIFT: Final = 42
DAY_MASK: Final = (1 << SINCE_SHIFT) - 1

RECORD_VERSION: Final = 8
KIND_CUSTOMER: Final = 1
KIND_PARTITION: Final = 2
KIND_SPILLED: Final = 3
KIND_RATE: Final = 4
HASHES_MAX: Final = 4096  # of one record; more spill to rows `customer/n`
HEAD_WORDS: Final = 2
