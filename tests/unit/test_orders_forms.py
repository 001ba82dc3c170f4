"""What staff type is read exactly, or refused at its field; nothing is rounded."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import FormData

from services.orders.pages.forms import discount_ppm, read_form, typed_line
from services.orders.rules.lines import Line

PRODUCTS = [
    SimpleNamespace(product_code="A", unit_price_minor=805_000),
    SimpleNamespace(product_code="B", unit_price_minor=None),
]


def typed(**changes):
    given_ = {"line.0.product_code": "A", "line.0.quantity": "2", **changes}
    return read_form(FormData(given_), PRODUCTS)


def test_a_line_without_a_price_takes_the_list_price():
    assert typed().lines[0].line == Line("A", 2, 805_000)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("unit_price", "80.001", "unit_price_minor"), ("unit_price", "1e3x", "unit_price_minor"),
        ("quantity", "2.5", "quantity"), ("quantity", "２", "quantity"),
        ("discount", "0.00001", "discount_ppm"), ("discount", "101", "discount_ppm"),
        ("discount", "NaN", "discount_ppm"), ("product_code", "Z", "product_code"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_at_its_field(name, value, problem):
    form = typed(**{"line.0.unit_price": "1", f"line.0.{name}": value})
    assert list(form.problems) == [f"lines.0.{problem}"]
    assert getattr(form.lines[0], name) == value
    assert form.lines[0].line is None


def test_blank_lines_are_left_out_and_gaps_closed():
    form = typed(**{"line.3.product_code": "B", "line.3.unit_price": "1", "line.7.quantity": "1"})
    assert [one.product_code for one in form.lines] == ["A", "B"]


def test_what_is_typed_in_a_line_without_a_product_is_not_lost():
    form = read_form(FormData({"line.0.product_code": "", "line.0.quantity": "abc"}), PRODUCTS)
    assert form.lines[0].quantity == "abc"
    assert {"lines.0.product_code", "lines.0.quantity"} <= form.problems.keys()


def test_a_form_without_a_line_comes_back_with_one_to_fill_in():
    form = read_form(FormData({"line.0.product_code": "", "line.0.quantity": "1"}), PRODUCTS)
    assert form.problems["lines"] == "empty"
    assert [one.blank for one in form.lines] == [True]


@given(st.integers(0, 1_000_000))
def test_a_discount_survives_showing_and_reading(ppm):
    shown = typed_line(Line("A", 1, 100, ppm), "CNY").discount
    assert discount_ppm(shown) == ppm


@given(st.integers(0, 2**53))
def test_a_price_survives_showing_and_reading(minor):
    shown = typed_line(Line("A", 1, minor), "CNY").unit_price
    assert typed(**{"line.0.unit_price": shown}).lines[0].line.unit_price_minor == minor
