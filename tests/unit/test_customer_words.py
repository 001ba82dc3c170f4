"""Staff read words: every code that the simulated bank or a data set says has one, both ways."""

import re
from pathlib import Path

from deploy.bank import berka, contacts, names, places
from deploy.bank.simulation import Bank, Plan
from services.customer.pages.words import WORDS, word
from shared.events import bank
from shared.web.translations import CHINESE, load_texts
from shared.web.translations import places as text_places

# (event, field) -> the group of words in which the customer page looks it up
SAID = {
    (bank.TransactionBooked, "kind"): "entry",
    (bank.TransactionBooked, "purpose_code"): "purpose",
    (bank.TransactionBooked, "channel_code"): "channel",
    (bank.ContactRecorded, "channel_code"): "channel",
    (bank.ContactRecorded, "direction"): "direction",
    (bank.ContactRecorded, "topic_code"): "topic",
    (bank.ContactRecorded, "outcome_code"): "result",
    (bank.ProductUsed, "feature_code"): "feature",
    (bank.LoanStatusChanged, "status"): "loan",
    (bank.ManagerAssigned, "reason_code"): "reason",
    (bank.AccountClosed, "reason_code"): "reason",
    (bank.CustomerPlaced, "region_code"): "region",
    (bank.CustomerPlaced, "segment_code"): "segment",
    (bank.CustomerRecorded, "size_code"): "size",
    (bank.CustomerRecorded, "industry_code"): "industry",
    (bank.CustomerRecorded, "kind"): "party",
    (bank.RelationRecorded, "kind"): "relation",
}


def said_by_the_simulator() -> set[tuple[str, str]]:
    found = set()
    for day in Bank(Plan(customers=150, days=120, seed=5)).history():
        for event in day:
            for (fact, name), group in SAID.items():
                value = getattr(event.data, name, None) if type(event.data) is fact else None
                if value is not None:
                    found.add((group, value))
    return found


def listed_by_the_sources() -> set[tuple[str, str]]:
    """What chance may not draw in one run: the tables from which the codes are drawn."""
    listed = {
        "purpose": berka._PURPOSE.values(),
        "channel": [*berka._CHANNEL.values(), *contacts._CHANNELS, "bank"],
        "loan": berka._STATUS.values(),
        "topic": [*contacts._TOPICS, *(code for code, _ in contacts._COMPLAINTS)],
        "feature": contacts._FEATURES,
        "region": [city.region_code for city in places.CITIES],
        "industry": [line[0] for line in names.INDUSTRIES],
        "role": ["owner", "co_holder", "disponent", "borrower"],
    }
    return {(group, code) for group, codes in listed.items() for code in codes}


def test_every_code_of_the_bank_has_a_word() -> None:
    said = said_by_the_simulator() | listed_by_the_sources()
    assert len(said) > 100
    assert {one for one in said if one[1] not in WORDS[one[0]]} == set()


def test_every_word_has_its_chinese() -> None:
    (place,) = text_places("customer")
    texts = load_texts(CHINESE, [place.po])
    for group in WORDS.values():
        for text in group.values():
            assert texts.gettext(text) != text, text


def test_an_unknown_code_is_shown_as_it_is() -> None:
    assert word("purpose", "barter") == "barter"
    assert word("purpose", None) == ""


def test_every_outcome_and_reason_that_our_services_say_has_a_word() -> None:
    """The timeline tells them by codes: those in the code, and the steps and outcomes of the
    processes that are delivered."""
    found: set[str] = set()
    for path in Path("services").rglob("*.py"):
        found |= set(re.findall(r'(?:outcome|reason)_code="(\w+)"', path.read_text()))
    for path in Path("services/workflow/definitions").glob("*.bpmn"):
        source = path.read_text()
        found |= set(re.findall(r'<guanxi:outcome code="(\w+)"', source))
        found |= set(re.findall(r'<bpmn:(?:user|receive)Task id="(\w+)"', source))
    assert {"completed", "expired", "false_alarm", "assess", "approve_order"} <= found
    assert {code for code in found if code not in WORDS["code"]} == set()
