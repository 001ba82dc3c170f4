"""Contacts between customers and the bank: questions, advice, complaints, app use."""

from deploy.bank import places
from deploy.bank.bookings import Day
from deploy.bank.people import Customer
from deploy.bank.truth import Truth
from shared.events.bank import ContactRecorded, ContactTextRecorded, ProductUsed

SHARE_OF_COMPLAINTS = 0.09
_CHANNELS = ("phone", "branch", "app_chat", "wechat", "visit")
_TOPICS = ("balance_question", "transfer_help", "product_advice", "loan_question", "card_service",
           "data_change")  # fmt: skip
_FEATURES = ("balance_view", "statement_view", "wealth_browse", "rate_view", "limit_change",
             "branch_search")  # fmt: skip
_COMPLAINTS = (
    ("fee", "短信服务费没有经过我同意就扣了，要求说明并退还。"),
    ("fee", "账户管理费比去年高，网点没有提前告知。"),
    ("waiting_time", "在网点排队一个多小时才办上业务，窗口只开了一个。"),
    ("transfer_failed", "手机银行转账两次失败，款项过了一天才退回。"),
    ("rate", "别的银行定期利率更高，希望能给优惠，否则考虑转走存款。"),
    ("service", "客户经理换了三次，每次都要重新说明情况。"),
    ("card", "卡片在境外无法使用，客服电话一直占线。"),
    ("loan", "贷款审批拖了三周没有答复，影响公司付货款。"),
    ("app", "手机银行升级以后常常闪退，对账单下载不了。"),
)


def contact(day: Day, customer: Customer, truth: Truth) -> None:
    rng = day.rng
    if rng.random() < SHARE_OF_COMPLAINTS:
        complain(day, customer, truth)
        return
    outgoing = rng.random() < 0.3
    day.say(
        ContactRecorded(
            customer_number=customer.number,
            contact_id=_contact_id(day),
            channel_code=rng.choice(_CHANNELS),
            direction="outbound" if outgoing else "inbound",
            topic_code=rng.choice(_TOPICS),
            outcome_code=rng.choice(("answered", "answered", "follow_up", "sold")),
            satisfaction=min(10, rng.choice((6, 7, 8, 8, 9, 9, 10))) if rng.random() < 0.5
            else None,
            staff_code=customer.manager_code if outgoing or rng.random() < 0.5 else None,
        ),
        f"contact-{day.counters.record}",
    )  # fmt: skip


def complain(day: Day, customer: Customer, truth: Truth) -> None:
    """The codes go to `bank.events`, the words to `bank.customers`."""
    rng = day.rng
    topic, words = rng.choice(_COMPLAINTS)
    contact_id = _contact_id(day)
    day.say(
        ContactRecorded(
            customer_number=customer.number,
            contact_id=contact_id,
            channel_code=rng.choice(("phone", "branch", "app_chat")),
            direction="inbound",
            topic_code=topic,
            outcome_code=rng.choice(("open", "open", "apologised", "refunded")),
            satisfaction=rng.choice((0, 1, 1, 2, 2, 3, 4)),
            staff_code=customer.manager_code,
            complaint=True,
        ),
        f"contact-{contact_id}",
    )
    day.say(
        ContactTextRecorded(contact_id=contact_id, customer_number=customer.number, text=words),
        f"contacttext-{contact_id}",
    )
    truth.complained(customer, day.on)


def use_product(day: Day, customer: Customer) -> None:
    day.say(
        ProductUsed(
            customer_number=customer.number,
            product_code=places.MOBILE_BANK,
            feature_code=day.rng.choice(_FEATURES),
            channel_code="mobile",
            account_number=customer.current.number,
        ),
        day.next_id("used"),
    )


def _contact_id(day: Day) -> str:
    day.counters.record += 1
    return str(day.counters.record)
