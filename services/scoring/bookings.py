"""What a booking is to the features of its account; a live scorer and training say the same."""

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from services.scoring.scanning import AMOUNT, CUSTOMER, INITIATOR, KIND, KINDS, REVERSES
from services.scoring.scores import account_features
from services.scoring.scores.watching import PURCHASE
from shared.events.bank import TransactionBooked

_CASH = frozenset({"cash_in", "cash_out", "card"})
_ALWAYS = {
    "transfer_in": account_features.TRANSFER_IN,
    "interest_received": account_features.PENALTY,  # of whose account is overdrawn
}
_BY_CUSTOMER = {
    kind: _ALWAYS.get(kind, 0)
    | account_features.BY_CUSTOMER
    | (account_features.CASH if kind in _CASH else 0)
    for kind in get_args(TransactionBooked.__annotations__["kind"])
}


def flags_of(fact: TransactionBooked) -> int:
    """What kind of booking it is to the features. A reversal is nobody's action."""
    if fact.initiated_by != "customer" or fact.reverses is not None:
        return _ALWAYS.get(fact.kind, 0)
    flags = _BY_CUSTOMER[fact.kind]
    return flags if fact.amount_minor > 0 else flags | PURCHASE


_SCANNED = np.array(
    [[_ALWAYS.get(kind, 0), _BY_CUSTOMER[kind], _BY_CUSTOMER[kind] | PURCHASE] for kind in KINDS],
    np.int64,
)


def flags_of_scanned(found: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same of rows of the scanner."""
    is_action = (found[:, INITIATOR] == CUSTOMER) & (found[:, REVERSES] == 0)
    flags: NDArray[np.int64] = _SCANNED[
        found[:, KIND], np.where(is_action, np.where(found[:, AMOUNT] > 0, 1, 2), 0)
    ]
    return flags
