"""Falling use of a product in words, and what the manager can do about it, by type of product."""

from collections.abc import Mapping
from typing import Any

Text = dict[str, str]

ADVICE: Mapping[str, Text] = {  # by line of the product
    "liability": {
        "zh-CN": "了解工资、货款或日常收支是否转到别家;可以谈代发、自动转存和资金归集",
        "en": "Ask whether salary, receipts or daily payments go elsewhere now; payroll, automatic "
        "transfers and sweeping may bring them back",
    },
    "asset": {
        "zh-CN": "了解还款来源是否变化、是否在别家融资;需要时及早谈续贷或调整还款安排",
        "en": "Ask whether the source of repayment has changed or another bank lends now; talk "
        "early about renewal or another schedule",
    },
    "fee": {
        "zh-CN": "了解客户改用什么代替;说明可用的优惠和功能,帮客户重新绑定常用的支付或服务",
        "en": "Ask what is used instead; show the offers and functions there are, and help to set "
        "the usual payments up again",
    },
}
ANY: Text = {
    "zh-CN": "联系客户,了解为什么用得少了",
    "en": "Call the customer and ask why it is used less",
}


def use_falls(terms: Mapping[str, int]) -> Text:
    """By how much, in times a month."""
    now, usual = terms["pace_milli"], terms["usual_pace_milli"]
    gone = min(max(usual - now, 0) * 100 // usual, 100) if usual > 0 else 0
    return {
        "zh-CN": f"使用变少:每月约 {_tenths(now)} 次,平时 {_tenths(usual)} 次,少了 {gone}%",
        "en": f"Used less: about {_tenths(now)} times a month, usually {_tenths(usual)} "
        f"({gone}% less)",
    }


def use_recovers(terms: Mapping[str, Any]) -> Text:
    """It ends by use that comes back, or by a usual pace that sinks to little use."""
    if 2 * terms.get("pace_milli", 0) < terms.get("usual_pace_milli", 0):
        return {
            "zh-CN": "使用一直很少,平时频率也已很低",
            "en": "Use has been low for so long that little is usual by now",
        }
    return {"zh-CN": "使用频率已接近平时", "en": "Use is close to its usual pace again"}


def advice_of(line_code: str | None) -> Text:
    """What to do, by the line of the product; one that nobody has described gets the general."""
    return dict(ADVICE.get(line_code or "", ANY))


def _tenths(milli: int) -> str:
    tenths = (milli + 50) // 100
    return f"{tenths // 10}.{tenths % 10}" if tenths % 10 else f"{tenths // 10}"
