"""How figures are written: exact on hover where they are not shown so, with the bank's own sign."""

import re
from zoneinfo import ZoneInfo

import pytest

from shared.web.formats import Formats

ZONE = ZoneInfo("Asia/Shanghai")


def plain(markup: str) -> str:
    return re.sub(r"<[^>]*>", "", markup)


@pytest.mark.parametrize(
    ("language", "home", "currency", "shown"),
    [
        ("zh-CN", "CNY", "CNY", "¥1,234.50"),
        ("en", "CNY", "CNY", "¥1,234.50"),
        ("en", "CNY", "USD", "$1,234.50"),
        ("en", "EUR", "CNY", "CN¥1,234.50"),  # abroad a yuan needs its country
    ],
)
def test_money_has_the_sign_that_the_bank_writes(language, home, currency, shown):
    assert plain(Formats(language, ZONE, home).money(123_450, currency)) == shown


@pytest.mark.parametrize(("language", "shown"), [("zh-CN", "JP¥500"), ("en", "JP¥500")])
def test_a_yen_is_no_yuan(language, shown):
    assert plain(Formats(language, ZONE, "CNY").money(500, "JPY")) == shown


@pytest.mark.parametrize(("language", "minor", "shown"), [
    ("zh-CN", -859_726, "−¥8,597.26"), ("zh-CN", 1_700_000, "¥1.7万"), ("en", 85_972, "¥859.72"),
    ("en", 859_726, "¥8.6K"),
])  # fmt: skip
def test_the_short_form_of_what_is_not_long_is_the_exact_one(language, minor, shown):
    assert plain(Formats(language, ZONE, "CNY").money(minor, short=True)) == shown


def test_the_exact_value_is_on_hover_only_where_it_is_not_shown():
    formats = Formats("en", ZONE, "CNY")
    assert formats.money(123_450) == '<span class="money">¥1,234.50</span>'
    assert 'title="¥12,345,678.90"' in formats.money(1_234_567_890, short=True)
    assert "title" not in formats.ppm(250_000)
    assert 'title="33.3333%"' in formats.ppm(333_333)
    assert "title" not in formats.number(8_691)
    assert 'title="1234.567"' in formats.number(1234.567, 1)
