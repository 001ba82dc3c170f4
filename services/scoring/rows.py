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
)
ACCOUNT_FIELDS: Final = ("sum_minor", "count", "last_on")

CUSTOMER: Final = np.dtype([(name, "<i8") for name in CUSTOMER_FIELDS])
ACCOUNT: Final = np.dtype([(name, "<i8") for name in ACCOUNT_FIELDS])
CUSTOMER_WORDS: Final = len(CUSTOMER_FIELDS)
ACCOUNT_WORDS: Final = len(ACCOUNT_FIELDS)

# What became of one event
APPLIED: Final = 0
REDELIVERED: Final = 1  # at or below the row's offset, or its sequence of inputs
DUPLICATE: Final = 2  # sent again by its producer
BEYOND_RANGE: Final = 3  # a sum would leave 2**61 minor units

# Flags of an event's column
BY_CUSTOMER: Final = 1
HOME_CURRENCY: Final = 2
SEEN_BEFORE: Final = 4
INPUT: Final = 8  # comes by `scoring.inputs`

# Rules and kinds of a signal
OUTFLOW: Final = 0
SILENCE: Final = 1
RAISED: Final = 1
CLEARED: Final = 0

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

RECORD_VERSION: Final = 1
KIND_CUSTOMER: Final = 1
KIND_PARTITION: Final = 2
KIND_SPILLED: Final = 3
HASHES_MAX: Final = 4096  # of one record; more spill to rows `customer/n`
HEAD_WORDS: Final = 2
