"""Operations as the story needs them: code of ours that fails, is mended, and is run again."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, expect
from sqlalchemy import create_engine, text

from deploy.local.system import System
from tests.e2e import bank_side

SETTLED_MS = 90_000
PARKED = {"zh-CN": "搁置", "en": "Parked"}
BEHIND = {
    "zh-CN": "排在同一键的搁置消息之后", "en": "waits behind a parked message of the same key"
}  # fmt: skip


@contextmanager
def failing_on(system: System, amount_minor: int) -> Iterator[None]:
    """The customer service fails on a booking of this amount, as after a bad release."""

    def alter(what: str) -> None:
        with create_engine(system.environment["GUANXI_DATABASE"]).begin() as connection:
            connection.execute(text(f"alter table customer.timeline {what}"))

    alter(f"add constraint broken check (amount_minor is distinct from {amount_minor}) not valid")
    try:
        yield
    finally:
        alter("drop constraint broken")


def park_and_replay(
    system: System, page: Page, language: str, number: str, account: str, amount: int
) -> None:
    """Two bookings, the second behind the first; on the open page of operations both come, and go
    by one press. Each is then applied once, in their order, and the audit says who pressed."""
    letters = page.locator("#ops-customer [data-key^=letter-]").filter(has_text=number)
    expect(letters).to_have_count(0)
    with failing_on(system, -amount):
        for minor in (amount, amount + 1):
            name = f"parked-{bank_side.stamp()}"
            bank_side.send(system, bank_side.outgoing(system, number, account, minor, name))
        expect(letters).to_have_count(2, timeout=SETTLED_MS)
    expect(letters.first.locator(".status")).to_have_text(PARKED[language])
    expect(letters.last).to_contain_text(BEHIND[language])
    place = letters.first.locator("code").first.inner_text().replace(":", "/")
    letters.first.locator("button[hx-post$='/replay']").click()
    expect(letters).to_have_count(0, timeout=SETTLED_MS)
    with create_engine(system.environment["GUANXI_DATABASE"]).connect() as connection:
        audited = connection.execute(
            text("select actor_id, action from customer.audit where subject = :place"),
            {"place": place},
        )
        assert audited.all() == [("S003", "dead_letter.replay")]
        applied = connection.execute(
            text("select amount_minor from customer.timeline where party_id = :party"
                 " and amount_minor in (:first, :second) order by at"),
            {"party": f"P{number}", "first": -amount, "second": -amount - 1},
        )  # fmt: skip
        assert applied.scalars().all() == [-amount, -amount - 1]
