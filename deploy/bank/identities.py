"""Master data of the simulated customers: drawn from the seed and the customer's index alone."""

from datetime import date, timedelta
from random import Random

from deploy.bank import names, numbers
from deploy.bank.people import Customer
from deploy.bank.places import CURRENCY, Branch
from shared.events.bank import Address, CustomerRecorded, Document

_SIZES = ("micro", "small", "small", "medium", "large")
_MAIL_HOSTS = ("example.com", "example.cn", "example.net")


def recorded(seed: int, customer: Customer, representative: str | None) -> CustomerRecorded:
    """The customer's whole record. `representative` names a firm's, when he is known here."""
    rng = Random(f"{seed}/identity/{customer.index}")
    if customer.firm:
        return _firm(rng, customer, representative)
    return _person(rng, customer)


def person_name(seed: int, customer: Customer) -> str:
    return recorded(seed, customer, None).name


def _person(rng: Random, customer: Customer) -> CustomerRecorded:
    city = customer.branch.city
    sex = rng.choice(("male", "female"))
    name = names.person_name(rng, sex)
    birth_on = date(1950, 1, 1) + timedelta(days=rng.randrange(20_000))
    number = numbers.resident_number(rng, city.district_code, birth_on, sex)
    mails = (f"{customer.number.lower()}@{rng.choice(_MAIL_HOSTS)}",)
    return CustomerRecorded(
        customer_number=customer.number,
        kind="person",
        name=name,
        documents=(Document(kind="resident_id", number=number),),
        phones=(numbers.masked_phone(rng),),
        emails=mails if rng.random() < 0.5 else (),
        address=Address(
            line=names.address_line(rng, city.name, city.district),
            district_code=city.district_code,
            country_code="CN",
        ),
        birth_on=birth_on,
        sex=sex,
    )


def _firm(rng: Random, customer: Customer, representative: str | None) -> CustomerRecorded:
    city = customer.branch.city
    industry_code, words = names.industry(rng)
    code = numbers.credit_code(rng, city.district_code)
    drawn_name = names.person_name(rng, rng.choice(("male", "female")))
    return CustomerRecorded(
        customer_number=customer.number,
        kind="firm",
        name=names.firm_name(rng, city.name, words),
        documents=(Document(kind="business_licence", number=code),),
        phones=(numbers.masked_phone(rng),),
        emails=(f"finance.{customer.number.lower()}@{rng.choice(_MAIL_HOSTS)}",),
        address=Address(
            line=names.address_line(rng, city.name, city.district),
            district_code=city.district_code,
            country_code="CN",
        ),
        credit_code=code,
        industry_code=industry_code,
        legal_representative=representative or drawn_name,
        registered_capital_minor=rng.choice((50, 100, 200, 500, 1000, 3000, 10_000)) * 1_000_000,
        currency=CURRENCY,
        size_code=rng.choice(_SIZES),
    )


def group_recorded(seed: int, number: str, branch: Branch) -> CustomerRecorded:
    rng = Random(f"{seed}/group/{number}")
    city = branch.city
    code = numbers.credit_code(rng, city.district_code)
    return CustomerRecorded(
        customer_number=number,
        kind="group",
        name=names.group_name(rng, city.name),
        documents=(Document(kind="business_licence", number=code),),
        credit_code=code,
        address=Address(
            line=names.address_line(rng, city.name, city.district),
            district_code=city.district_code,
            country_code="CN",
        ),
    )
