"""Who belongs to whom among the customers at the start: groups, representatives, guarantors,
households with joint accounts."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from random import Random

from deploy.bank import numbers
from deploy.bank.people import Customer
from deploy.bank.places import CURRENCY, Branch
from shared.events.bank import Holder, RelationRecorded


@dataclass(frozen=True, slots=True)
class Group:
    """A customer group: a number, a home, no account."""

    number: str
    branch: Branch
    manager_code: str


@dataclass(slots=True)
class Ties:
    """All ties of the first day."""

    groups: list[Group] = field(default_factory=list)
    relations: list[RelationRecorded] = field(default_factory=list)
    representatives: dict[str, Customer] = field(default_factory=dict)  # by the firm's number
    holders: dict[str, tuple[Holder, ...]] = field(default_factory=dict)  # by the owner's number


def draw_ties(rng: Random, customers: list[Customer], on: date) -> Ties:
    ties = Ties()
    persons: defaultdict[str, list[Customer]] = defaultdict(list)
    firms: list[Customer] = []
    for customer in customers:
        if customer.firm:
            firms.append(customer)
        else:
            persons[customer.branch.code].append(customer)
    for members in persons.values():
        _households(rng, ties, members, on)
    for firm in firms:
        _representative(rng, ties, firm, persons[firm.branch.code], on)
    _guarantees(rng, ties, firms, on)
    _groups(rng, ties, firms, on)
    return ties


def _households(rng: Random, ties: Ties, members: list[Customer], on: date) -> None:
    """Couples: the first's current account is joint, shares in ppm sum to one."""
    couples = len(members) // 14
    chosen = rng.sample(members, 2 * couples)
    for owner, partner in zip(chosen[:couples], chosen[couples:], strict=True):
        share = rng.choice((500_000, 500_000, 600_000, 700_000))
        ties.holders[owner.number] = (
            Holder(customer_number=owner.number, role="owner", share_ppm=share),
            Holder(customer_number=partner.number, role="co_holder", share_ppm=1_000_000 - share),
        )
        ties.relations.append(
            RelationRecorded(
                customer_number=owner.number,
                to_customer_number=partner.number,
                kind="household",
                effective_on=on,
            )
        )


def _representative(
    rng: Random, ties: Ties, firm: Customer, persons: list[Customer], on: date
) -> None:
    if not persons or rng.random() > 0.5:
        return
    person = rng.choice(persons)
    ties.representatives[firm.number] = person
    ties.relations.append(
        RelationRecorded(
            customer_number=person.number,
            to_customer_number=firm.number,
            kind="legal_representative",
            effective_on=on,
        )
    )
    if rng.random() < 0.7:
        share = rng.choice((300_000, 510_000, 600_000, 800_000, 1_000_000))
        ties.relations.append(
            RelationRecorded(
                customer_number=person.number,
                to_customer_number=firm.number,
                kind="owns",
                share_ppm=share,
                effective_on=on,
            )
        )


def _guarantees(rng: Random, ties: Ties, firms: list[Customer], on: date) -> None:
    for borrower in firms:
        loan = borrower.loan
        if loan is None or rng.random() > 0.55 or len(firms) < 2:
            continue
        guarantor = rng.choice(firms)
        if guarantor is borrower:
            continue
        ties.relations.append(
            RelationRecorded(
                customer_number=guarantor.number,
                to_customer_number=borrower.number,
                kind="guarantees",
                amount_minor=loan.principal_minor * rng.choice((50, 80, 100)) // 100,
                currency=CURRENCY,
                loan_number=loan.number,
                effective_on=min(loan.granted_on, on),
            )
        )


def _groups(rng: Random, ties: Ties, firms: list[Customer], on: date) -> None:
    free = list(firms)
    rng.shuffle(free)
    for ordinal in range(len(firms) // 16):
        size = rng.randrange(2, 6)
        members, free = free[:size], free[size:]
        if len(members) < 2:
            return
        home = members[0]
        number = numbers.customer_number(numbers.GROUP, ordinal + 1)
        ties.groups.append(Group(number, home.branch, home.manager_code))
        ties.relations += [
            RelationRecorded(
                customer_number=member.number,
                to_customer_number=number,
                kind="group_member",
                effective_on=on,
            )
            for member in members
        ]
        ties.relations.append(
            RelationRecorded(
                customer_number=home.number,
                to_customer_number=members[1].number,
                kind="owns",
                share_ppm=rng.choice((510_000, 670_000, 1_000_000)),
                effective_on=on,
            )
        )
