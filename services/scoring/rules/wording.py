"""Alerts in words, both languages, as a banker would say them. Numbers come from the terms.

A sentence stays with its alert, so it names days, never how long ago they were.
"""

from collections.abc import Mapping
from datetime import date, timedelta

from services.scoring.rules.stake import OF_A_MODEL, additive
from services.scoring.rules.wording_of_use import use_falls, use_recovers

Text = dict[str, str]

TEN_THOUSAND_MINOR = 1_000_000  # 1 万元
HUNDRED_MILLION_MINOR = 10_000_000_000  # 1 亿元
TERMS = {  # of a model's score: what speaks for the risk
    "purchases": ("消费次数", "the number of purchases"),
    "silence": ("近来没有动静", "the days without activity"),
    "amounts": ("消费金额", "the amounts of purchases"),
    "gaps": ("平时的间隔", "the usual gaps"),
    "tenure": ("开户时间", "the time with the bank"),
    "actions": ("客户自己的交易", "what the customer does himself"),
    "cash": ("现金和刷卡", "cash and card use"),
    "money_in": ("资金流入", "the money that comes in"),
    "money_out": ("资金流出", "the money that goes out"),
    "transfers_in": ("转入款", "the transfers that come in"),
    "trouble": ("透支和罚息", "overdrafts and penalty interest"),
    "balance": ("余额", "the balance"),
    "season": ("季节", "the season"),
    "lost": ("可能已流失", "the chance that he has left"),
    "waits": ("可能暂不消费", "the chance that he only waits"),
}
SIGNS = {"CNY": "¥", "USD": "$", "EUR": "€", "GBP": "£"}


def raised_text(
    rule: str, terms: Mapping[str, int], currency: str, on: date, left_numbers: int = 0
) -> Text:
    """Why the alert began on this day, and what would end it. `left_numbers`: how many numbers of
    the party had no account then."""
    ending = _would_end(terms, currency, on)
    if rule == "silence":
        return _silence(terms, ending, on, left_numbers)
    if rule == "outflow":
        balance, mean = terms["balance_minor"], terms["mean_minor"]
        gone = min(max(mean - balance, 0) * 100 // mean, 100) if mean > 0 else 0
        return {
            "zh-CN": f"余额只剩 {money_zh(balance, currency)},平时 {money_zh(mean, currency)},"
            f"少了 {gone}%{ending['zh-CN']}",
            "en": f"Balance down to {money_en(balance, currency)}; "
            f"usually {money_en(mean, currency)} ({gone}% less){ending['en']}",
        }
    if rule == "use_falls":
        said = use_falls(terms)
        return {"zh-CN": said["zh-CN"] + ending["zh-CN"], "en": said["en"] + ending["en"]}
    if rule in OF_A_MODEL:
        return _of_model(rule, terms, currency, on)
    return {"zh-CN": f"规则 {rule} 触发", "en": f"Rule {rule} holds"}


def cleared_text(rule: str, terms: Mapping[str, object]) -> Text:
    """Why the alert ended; `terms` of the signal that ended it."""
    if rule in {"silence", "outflow"} and terms.get("open_accounts") == 0:
        return {"zh-CN": "客户已销掉全部账户", "en": "The customer has closed all accounts"}
    if rule == "silence" and "open_accounts" in terms:
        return {"zh-CN": "客户又有账户了", "en": "The customer has an account again"}
    if rule == "silence":
        return {"zh-CN": "客户又有交易了", "en": "The customer is transacting again"}
    if "account_closed" in terms:
        return {"zh-CN": "账户已销户", "en": "The account was closed"}
    if rule == "outflow" and terms.get("clear_deposit_minor"):  # it ends without a recovery
        return {"zh-CN": "平时余额已经很低", "en": "The usual balance is small by now"}
    if rule == "outflow":
        return {
            "zh-CN": "余额已接近平时水平",
            "en": "The balance is close to its usual level again",
        }
    if rule == "use_falls":
        return use_recovers(terms)
    if rule in OF_A_MODEL:
        return {
            "zh-CN": "风险已降到预警线以下",
            "en": "The risk is below the line of the warning again",
        }
    return {"zh-CN": "预警已解除", "en": "The rule no longer holds"}


def _silence(terms: Mapping[str, int], ending: Text, on: date, left_numbers: int) -> Text:
    """Who has left may have acted last: the sentence is of those that are still here."""
    last = on - timedelta(days=terms["silent_days"])
    gap = max(round(terms["mean_gap_milli_days"] / 1000), 1)
    zh, en = "最后一次自主交易在", "Last own transaction on"
    if left_numbers:
        closed = f"{_many(left_numbers, 'customer number')} with all accounts closed"
        zh = f"{left_numbers} 个客户号已销掉全部账户;其余客户号最后一次自主交易在"
        en = f"{closed}; last own transaction of the rest on"
    return {
        "zh-CN": f"{zh} {last},平时每 {gap} 天一次,{on} 预警{ending['zh-CN']}",
        "en": f"{en} {last}, usually every {_days(gap, every=True)}; raised on {on}{ending['en']}",
    }


def _of_model(rule: str, terms: Mapping[str, int], currency: str, on: date) -> Text:
    """What may come, what speaks for it most, and what would end the alert."""
    horizon, last = terms["horizon_days"], on - timedelta(days=terms["silent_days"])
    zh, en = {
        "no_purchase": (
            f"未来 {horizon} 天可能不再消费,最后一次消费在 {last}",
            f"May buy nothing for {_days(horizon)}; last purchase on {last}",
        ),
        "collapse": (
            f"未来 {horizon} 天交易可能减半",
            f"May do half as much or less within {_days(horizon)}",
        ),
        "outflow_ahead": (
            f"未来 {horizon} 天余额可能减半",
            f"The balance may halve within {_days(horizon)}",
        ),
        "distress": (
            f"未来 {horizon} 天可能透支",
            f"May be overdrawn within {_days(horizon)}",
        ),
    }[rule]
    against = next((code for code, value in additive(terms).items() if value > 0), None)
    if against in TERMS:
        zh, en = f"{zh};主要因为{TERMS[against][0]}", f"{en}; mostly for {TERMS[against][1]}"
    ending = _would_end(terms, currency, on)
    return {"zh-CN": zh + ending["zh-CN"], "en": en + ending["en"]}


def _would_end(terms: Mapping[str, int], currency: str, on: date) -> Text:
    """The smallest change that would end it, or when it ends by itself before any would."""
    if "clear_purchases" in terms:
        times, usual = terms["clear_purchases"], terms["clear_purchase_minor"]
        return {
            "zh-CN": f"。再消费 {times} 次(每次约 {money_zh(usual, currency)})即可解除",
            "en": f". {_many(times, 'purchase')} of about {money_en(usual, currency)} would end it",
        }
    if "clear_actions" in terms:
        times = terms["clear_actions"]
        if times > 1:  # it was tried so: of others nobody knows
            return {
                "zh-CN": f"。客户每天交易 1 次,连续 {times} 天即可解除",
                "en": f". {times} transactions by the customer, one a day, would end it",
            }
        return {
            "zh-CN": f"。客户再交易 {times} 次即可解除",
            "en": f". {_many(times, 'transaction')} by the customer would end it",
        }
    if "clear_payments" in terms:
        return _payments(terms, currency)
    for code, zh, en in (("clear_deposit_minor", "", ""),
                         ("clear_cash_deposit_minor", "现金", " in cash")):  # fmt: skip
        if code in terms:
            least_zh, least_en = _whole(terms[code], currency)
            return {
                "zh-CN": f"。存入{zh} {least_zh}即可解除",
                "en": f". A deposit of {least_en}{en} would end it",
            }
    if "clear_alone_days" in terms:
        ends_on = on + timedelta(days=terms["clear_alone_days"])
        return {
            "zh-CN": f"。若无新交易,{ends_on} 自行解除",
            "en": f". Ends by itself on {ends_on} if nothing happens",
        }
    return {"zh-CN": "。没有简单的办法可以解除", "en": ". No simple change would end it"}


def _payments(terms: Mapping[str, int], currency: str) -> Text:
    """By card or in cash: to the scores that is what he does himself, a transfer is not."""
    times, zh, en = terms["clear_payments"], "", ""
    if "clear_payment_minor" in terms:
        amount_zh, amount_en = _whole(terms["clear_payment_minor"], currency)
        zh, en = f"(每次 {amount_zh})", f" of {amount_en}" + (" each" if times > 1 else "")
    elif "clear_payment_max_minor" in terms:
        most_zh, most_en = _whole(terms["clear_payment_max_minor"], currency)
        zh, en = f"(每次不超过 {most_zh})", f" of at most {most_en}"
    cash = "cash withdrawal" if times == 1 else "cash withdrawals"
    return {
        "zh-CN": f"。客户再刷卡或取现 {times} 次{zh}即可解除",
        "en": f". {_many(times, 'card payment')} or {cash}{en} would end it",
    }


def _whole(minor: int, currency: str) -> tuple[str, str]:
    """What must be kept to, in both languages: no rounding but up to whole units, for a little less
    would not do."""
    whole = -(-minor // 100)
    unit = "元" if currency == "CNY" else currency
    return f"{whole:,} {unit}", money_en(100 * whole, currency)


def _many(times: int, what: str) -> str:
    return f"1 {what}" if times == 1 else f"{times} {what}s"


def recomputed_text() -> Text:
    """Why the alert is taken back: what arrived later, or a merge, shows that it never held."""
    return {
        "zh-CN": "按补到的数据重算,这条预警不成立",
        "en": "Recomputed with data that arrived later, this alert does not hold",
    }


def money_zh(minor: int, currency: str) -> str:
    """「8.5 万元」: rounded half up to what matters in a sentence."""
    unit = "元" if currency == "CNY" else f" {currency}"
    sign, size = ("−" if minor < 0 else ""), abs(minor)
    for one, word in ((HUNDRED_MILLION_MINOR, "亿"), (TEN_THOUSAND_MINOR, "万")):
        if size >= one:
            return f"{sign}{_tenths(size, one)} {word}{unit}"
    return f"{sign}{(size + 50) // 100} {unit.strip()}"


def money_en(minor: int, currency: str) -> str:
    """¥85,000: whole units with thousands."""
    sign, size = ("−" if minor < 0 else ""), abs(minor)
    return f"{sign}{SIGNS.get(currency, currency + ' ')}{(size + 50) // 100:,}"


def _tenths(value: int, one: int) -> str:
    tenths = (value * 10 + one // 2) // one
    return f"{tenths // 10}.{tenths % 10}" if tenths % 10 else f"{tenths // 10}"


def _days(count: int, *, every: bool = False) -> str:
    return "day" if every and count == 1 else _many(count, "day")
