"""Alerts in words, both languages, as a banker would say them. Numbers come from the terms."""

from collections.abc import Mapping

Text = dict[str, str]

TEN_THOUSAND_MINOR = 1_000_000  # 1 万元
HUNDRED_MILLION_MINOR = 10_000_000_000  # 1 亿元
SIGNS = {"CNY": "¥", "USD": "$", "EUR": "€", "GBP": "£"}


def raised_text(rule: str, terms: Mapping[str, int], currency: str) -> Text:
    """Why the alert began."""
    if rule == "silence":
        days = terms["silent_days"]
        gap = max(round(terms["mean_gap_milli_days"] / 1000), 1)
        return {
            "zh-CN": f"{days} 天没有交易,平时间隔 {gap} 天",
            "en": f"No transaction for {_days(days)}; usually every {_days(gap, every=True)}",
        }
    if rule == "outflow":
        balance, mean = terms["balance_minor"], terms["mean_minor"]
        gone = min(max(mean - balance, 0) * 100 // mean, 100) if mean > 0 else 0
        return {
            "zh-CN": f"余额只剩 {money_zh(balance, currency)},平时 {money_zh(mean, currency)},"
            f"少了 {gone}%",
            "en": f"Balance down to {money_en(balance, currency)}; "
            f"usually {money_en(mean, currency)} ({gone}% less)",
        }
    return {"zh-CN": f"规则 {rule} 触发", "en": f"Rule {rule} holds"}


def cleared_text(rule: str) -> Text:
    """Why the alert ended."""
    if rule == "silence":
        return {"zh-CN": "客户又有交易了", "en": "The customer is transacting again"}
    if rule == "outflow":
        return {
            "zh-CN": "余额已接近平时水平",
            "en": "The balance is close to its usual level again",
        }
    return {"zh-CN": "预警已解除", "en": "The rule no longer holds"}


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
    if count == 1:
        return "day" if every else "1 day"
    return f"{count} days"
