"""An alert in words: what is so, why, and what would end it."""

from datetime import date

import pytest

from services.scoring.rules import stake, wording

RAISED_ON = date(2026, 2, 20)


def test_an_alert_is_said_as_a_banker_would():
    silence = {"silent_days": 41, "mean_gap_milli_days": 9100, "clear_actions": 1}
    assert wording.raised_text("silence", silence, "CNY", RAISED_ON) == {
        "zh-CN": "最后一次自主交易在 2026-01-10,平时每 9 天一次,2026-02-20 预警。"
                 "客户再交易 1 次即可解除",
        "en": "Last own transaction on 2026-01-10, usually every 9 days; raised on 2026-02-20. "
              "1 transaction by the customer would end it",
    }
    for left_numbers, closed in ((1, "1 customer number"), (2, "2 customer numbers")):
        of_the_rest = wording.raised_text("silence", silence, "CNY", RAISED_ON, left_numbers)
        assert of_the_rest == {
            "zh-CN": f"{left_numbers} 个客户号已销掉全部账户;"
                     "其余客户号最后一次自主交易在 2026-01-10,平时每 9 天一次,2026-02-20 预警。"
                     "客户再交易 1 次即可解除",
            "en": f"{closed} with all accounts closed; last own transaction of the rest on "
                  "2026-01-10, usually every 9 days; raised on 2026-02-20. "
                  "1 transaction by the customer would end it",
        }  # fmt: skip
    outflow = {"balance_minor": 1_234_500, "mean_minor": 8_500_000,
               "clear_deposit_minor": 5_565_401}  # fmt: skip
    assert wording.raised_text("outflow", outflow, "CNY", RAISED_ON) == {
        "zh-CN": "余额只剩 1.2 万元,平时 8.5 万元,少了 85%。"
                 "存入 55,655 元即可解除",
        "en": "Balance down to ¥12,345; usually ¥85,000 (85% less). "
              "A deposit of ¥55,655 would end it",
    }
    for rule in ("silence", "outflow", "other"):
        assert set(wording.cleared_text(rule, {})) == {"zh-CN", "en"}
    acts, left = ({"silent_days": 3}, {"silent_days": 3, "open_accounts": 0})
    assert wording.cleared_text("silence", acts) == {
        "zh-CN": "客户又有交易了", "en": "The customer is transacting again",
    }  # fmt: skip
    for rule in ("silence", "outflow"):
        assert wording.cleared_text(rule, left) == {
            "zh-CN": "客户已销掉全部账户", "en": "The customer has closed all accounts",
        }  # fmt: skip
    assert wording.cleared_text("silence", {"open_accounts": 1}) == {
        "zh-CN": "客户又有账户了", "en": "The customer has an account again",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("minor", "expected"),
    [(99_950, "1000 元"), (1_000_000, "1 万元"), (-2_550_000, "−2.6 万元"),
     (12_300_000_000, "1.2 亿元"), (0, "0 元")],
)  # fmt: skip
def test_money_in_a_sentence_has_no_more_digits_than_matter(minor, expected):
    assert wording.money_zh(minor, "CNY") == expected


LINEAR = {"base": -1_000_000, "money_out": 2_500_000, "balance": 40_000, "actions": -300_000,
          "silent_days": 3, "horizon_days": 90, "clear_deposit_minor": 2_380_000}  # fmt: skip


def test_the_terms_of_a_model_are_a_whole_that_sums_to_the_score():
    whole = stake.whole_of("distress", LINEAR)
    assert whole is not None
    assert (whole.value, whole.unit) == (1_240_000, "points")
    assert sum(piece.value for piece in whole.pieces) == whole.value
    assert [piece.code for piece in whole.pieces] == ["money_out", "balance", "actions", "base"]
    process = stake.whole_of("no_purchase", {"lost": 600_000, "waits": 320_000, "silent_days": 40,
                                             "horizon_days": 91})  # fmt: skip
    assert process is not None
    assert (process.value, process.unit) == (920_000, "ppm")


@pytest.mark.parametrize(("rule", "more", "zh", "en"), [
    ("distress", {}, "未来 90 天可能透支;主要因为资金流出。存入 23,800 元即可解除",
     "May be overdrawn within 90 days; mostly for the money that goes out. "
     "A deposit of ¥23,800 would end it"),
    ("outflow_ahead", {"clear_deposit_minor": None},
     "未来 90 天余额可能减半;主要因为资金流出。没有简单的办法可以解除",
     "The balance may halve within 90 days; mostly for the money that goes out. "
     "No simple change would end it"),
    ("outflow_ahead", {"clear_deposit_minor": None, "clear_payments": 1,
                       "clear_payment_max_minor": 10_000},
     "未来 90 天余额可能减半;主要因为资金流出。客户再刷卡或取现 1 次(每次不超过 100 元)即可解除",
     "The balance may halve within 90 days; mostly for the money that goes out. "
     "1 card payment or cash withdrawal of at most ¥100 would end it"),
    ("collapse", {"clear_deposit_minor": None, "clear_payments": 2, "money_out": -1},
     "未来 90 天交易可能减半;主要因为余额。客户再刷卡或取现 2 次即可解除",
     "May do half as much or less within 90 days; mostly for the balance. "
     "2 card payments or cash withdrawals would end it"),
    ("collapse", {"clear_deposit_minor": None, "clear_payments": 3, "clear_payment_minor": 20_049,
                  "money_out": -1},
     "未来 90 天交易可能减半;主要因为余额。客户再刷卡或取现 3 次(每次 201 元)即可解除",
     "May do half as much or less within 90 days; mostly for the balance. "
     "3 card payments or cash withdrawals of ¥201 each would end it"),
    ("collapse", {"clear_deposit_minor": None, "clear_payments": 1,
                  "clear_payment_minor": 123_456_700, "money_out": -1},
     "未来 90 天交易可能减半;主要因为余额。客户再刷卡或取现 1 次(每次 1,234,567 元)即可解除",
     "May do half as much or less within 90 days; mostly for the balance. "
     "1 card payment or cash withdrawal of ¥1,234,567 would end it"),
    ("distress", {"clear_deposit_minor": None, "clear_cash_deposit_minor": 2_379_901},
     "未来 90 天可能透支;主要因为资金流出。存入现金 23,800 元即可解除",
     "May be overdrawn within 90 days; mostly for the money that goes out. "
     "A deposit of ¥23,800 in cash would end it"),
    ("distress", {"clear_deposit_minor": None, "clear_alone_days": 9},
     "未来 90 天可能透支;主要因为资金流出。若无新交易,2026-03-01 自行解除",
     "May be overdrawn within 90 days; mostly for the money that goes out. "
     "Ends by itself on 2026-03-01 if nothing happens"),
    ("no_purchase", {"clear_purchases": 1, "clear_purchase_minor": 5_321, "silence": 3_000_000},
     "未来 90 天可能不再消费,最后一次消费在 2026-02-17;主要因为近来没有动静"
     "。再消费 1 次(每次约 53 元)即可解除",
     "May buy nothing for 90 days; last purchase on 2026-02-17; mostly for the days without "
     "activity. 1 purchase of about ¥53 would end it"),
])  # fmt: skip
def test_a_models_alert_says_what_comes_why_and_what_would_end_it(
    rule: str, more: dict[str, int | None], zh: str, en: str
):
    terms = {code: value for code, value in {**LINEAR, **more}.items() if value is not None}
    assert wording.raised_text(rule, terms, "CNY", RAISED_ON) == {"zh-CN": zh, "en": en}
    assert set(wording.cleared_text(rule, {})) == {"zh-CN", "en"}
