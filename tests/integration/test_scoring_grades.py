"""From what may be lost of a customer one comes to the grades that he was given."""

from services.scoring.leaf_sql import LEAF_KEY
from shared.events import bank
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import ledger_room, scoring_room
from tests.integration.ledger_room import reference, told
from tests.integration.scoring_room import HEAD
from tests.ledger_bank import Bank
from tests.scored import Scored

scoring = scoring_room.scoring
made, scored = ledger_room.made, ledger_room.scored


def test_a_leaf_of_expected_loss_shows_the_credit_answers_of_its_months(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> None:
    reference(space, made)
    for _, event in made.events:
        space.publish(event.data, source=event.source, event_id=event.id,
                      businessdate=event.businessdate, at=event.time)  # fmt: skip
    scoring.drain()
    told(scoring, scored)
    graded = {(e.data.customer_number, f"{e.businessdate:%Y-%m}"): e.id for _, e in made.events
              if isinstance(e.data, bank.CreditAnswerReceived)}  # fmt: skip
    of_months = [x for x in scored.posted.values() if x.period == x.origin_period
                 and (x.customer_number, x.period) in graded]  # fmt: skip
    assert {"el", "ftp"} <= {leaf.component for leaf in of_months}
    client = scoring.client(HEAD)
    for leaf in of_months:
        key = {name: getattr(leaf, name, "") for name in LEAF_KEY}
        shown = client.get("/contribution/leaf", params=key).text
        is_shown = graded[leaf.customer_number, leaf.period] in shown
        assert is_shown == (leaf.component == "el"), leaf
