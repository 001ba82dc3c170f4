"""What customer says of its numbers: which party they are, where at home, who answers for them."""

from collections.abc import Sequence

from services.scoring.commands import (
    alerts,
    contribution,
    holding_alerts,
    outflows,
    partial_managers,
    parties,
)
from services.scoring.commands.parties import Membership
from shared.db import Message, Tx
from shared.events.customer import ManagerChanged, PartyRecorded


def take(tx: Tx, messages: Sequence[Message]) -> None:
    """Takes the facts of a batch, in their order. Each names its customer number."""
    memberships, recorded, assigned, managers = [], [], [], []
    for message in messages:
        fact = message.event.data
        if isinstance(fact, ManagerChanged):
            managers.append(fact)
            if fact.account_number is None:  # else he does not answer for the customer
                assigned.append(fact)
            continue
        numbers = fact.customer_number, fact.customer_numbers
        memberships.append(Membership(fact.party_id, *numbers, message.event.time, message))
        if isinstance(fact, PartyRecorded):
            recorded.append(fact)
    owners = {n for fact in (*recorded, *assigned) if (n := fact.customer_number) is not None}
    parties.hold_numbers(tx, owners.union(*(m.numbers for m in memberships)))
    partial_managers.note(tx, managers)
    if memberships:
        joined = parties.join_numbers(tx, memberships)
        holding_alerts.hold_along(tx, joined.exchanges)
        alerts.refresh_joined(tx, joined.told)
        outflows.ask_anew(tx, joined.told)
    with contribution.under_others(tx, owners):
        if recorded:
            parties.describe_numbers(tx, recorded)
        if assigned:
            parties.keep_managers(tx, assigned)
