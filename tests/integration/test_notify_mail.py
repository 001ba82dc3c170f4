"""E-mail to a real SMTP server: sent once, tried again, given up, never after the lease."""

from datetime import timedelta

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from sqlalchemy import select

from deploy.local.children import free_port
from services.notify import mailing
from services.notify.__main__ import SERVICE
from services.notify.settings import ChannelSettings
from services.notify.tables import DeliveryRow
from shared.events import orders, workflow
from shared.policy import Actor
from shared.testing.space import Space

TEXT = {"zh-CN": "客户 C1 的款项明日到期", "en": "Payment of C1 is due tomorrow"}


class Mailbox(Message):
    """Keeps what arrives; answers with `refusal` while one is set."""

    def __init__(self):
        super().__init__()
        self.mails = []
        self.refusal = None

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - the library's name
        if self.refusal:
            return self.refusal
        return await super().handle_DATA(server, session, envelope)

    def handle_message(self, message):
        self.mails.append(message)


@pytest.fixture
def mailbox():
    box = Mailbox()
    box.port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    yield box
    controller.stop()


@pytest.fixture
def notify(space: Space):
    service = space.service(SERVICE)
    space.publish(
        workflow.StaffDescribed(staff_id="S001", org_path="/head", email="s001@bank.example"),
        source="guanxi/workflow",
    )
    return service


def release(space, lease_s=60):
    space.publish(
        orders.ReminderReleased(
            order_id="ORD-1", reminder_id="R1", receiver_id="S001", fence=((0, 1),),
            valid_until=space.clock.wall_now() + timedelta(seconds=lease_s), text=TEXT,
        ),
        source="guanxi/orders",
    )  # fmt: skip


def send_due(notify, mailbox):
    return mailing.send_due(
        notify.runtime, ChannelSettings(smtp_host="127.0.0.1", smtp_port=mailbox.port)
    )


def outcomes(space):
    return [
        (e.data.channel, e.type.split(".")[1], getattr(e.data, "reason_code", ""))
        for e in space.read("notice.deliveries")
    ]


def test_a_reminder_is_mailed_once_with_a_proof(space, notify, mailbox):
    release(space)
    notify.drain()
    assert send_due(notify, mailbox) == 1
    assert send_due(notify, mailbox) == 0
    (mail,) = mailbox.mails
    assert mail["To"] == "s001@bank.example"
    assert "/orders/orders/ORD-1" in mail.get_payload(decode=True).decode()
    assert mail["Message-ID"]
    notify.drain()
    assert sorted(outcomes(space)) == [("email", "notice_sent", ""), ("inbox", "notice_sent", "")]


def test_without_a_mail_server_the_channel_is_off_and_nothing_has_failed(space, notify, mailbox):
    release(space)
    notify.drain()
    space.clock.wall = space.clock.wall_now() + timedelta(seconds=61)  # not even expired
    mailing.send_due(notify.runtime, ChannelSettings(smtp_host=None))
    notify.drain()
    assert outcomes(space) == [("inbox", "notice_sent", "")]
    with notify.database.read() as session:
        (delivery,) = session.scalars(select(DeliveryRow))
    assert (delivery.state, delivery.attempts) == ("off", 0)
    assert delivery.proof == "no mail server is set (GUANXI_SMTP_HOST)"
    reader = Actor("S001", permissions=frozenset({"notice.view"}), language="en")
    why = notify.client(reader).get(f"/inbox/why/{delivery.notice_id}").text
    assert "E-mail: Switched off" in why
    assert send_due(notify, mailbox) == 0  # a server that is set later is not given old mail
    assert mailbox.mails == []


def test_a_busy_server_is_tried_again_and_a_refusal_is_final(space, notify, mailbox):
    release(space)
    notify.drain()
    mailbox.refusal = "451 try later"
    send_due(notify, mailbox)
    assert send_due(notify, mailbox) == 0  # it waits for its pause
    space.clock.wall = space.clock.wall_now() + timedelta(seconds=5)
    mailbox.refusal = "550 no such person"
    assert send_due(notify, mailbox) == 1
    notify.drain()
    assert ("email", "notice_failed", "channel_refused") in outcomes(space)
    assert mailbox.mails == []


def test_no_mail_leaves_after_the_lease(space, notify, mailbox):
    release(space, lease_s=30)
    notify.drain()
    space.clock.wall = space.clock.wall_now() + timedelta(seconds=31)
    send_due(notify, mailbox)
    notify.drain()
    assert ("email", "notice_failed", "expired") in outcomes(space)
    assert mailbox.mails == []


def test_a_withdrawn_reminder_is_not_mailed(space, notify, mailbox):
    release(space)
    space.publish(
        orders.ReminderWithdrawn(order_id="ORD-1", reminder_id="R1", why="paid"),
        source="guanxi/orders",
    )
    notify.drain()
    assert send_due(notify, mailbox) == 0
    assert mailbox.mails == []
