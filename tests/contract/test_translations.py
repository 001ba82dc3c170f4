"""Every text a person can read has its Chinese, and the Chinese fits its text."""

import re
from pathlib import Path

import pytest

from services.customer.pages import words as customer
from services.scoring.pages import words as scoring
from shared.web.menu import MENU
from shared.web.pages import ERROR_TEXTS, Pages
from shared.web.translations import CHINESE, ENGLISH, Place, load_texts, places, untranslated

FIELDS = re.compile(r"%\((\w+)\)[sd]|\{(\w+)\}")
HAN = re.compile(r"[\u4e00-\u9fff]")


def fields(text: str) -> set[str]:
    return {first or second for first, second in FIELDS.findall(text)}


@pytest.mark.parametrize("place", places(), ids=lambda place: place.name)
def test_every_text_in_use_has_its_chinese(place: Place) -> None:
    assert untranslated(place) == []


@pytest.mark.parametrize("place", places(), ids=lambda place: place.name)
def test_chinese_has_the_same_fields_as_its_text(place: Place) -> None:
    texts = load_texts(CHINESE, [place.po])
    for text, chinese in texts.single.items():
        assert fields(text) == fields(chinese), text
    for text, forms in texts.plural.items():
        assert all(fields(form) <= fields(text) | {"num", "count"} for form in forms), text


@pytest.mark.parametrize("place", places(), ids=lambda place: place.name)
def test_chinese_is_chinese(place: Place) -> None:
    """A text without any letter to translate may stay; an English sentence may not."""
    texts = load_texts(CHINESE, [place.po])
    for text, chinese in texts.single.items():
        assert HAN.search(chinese) or " " not in text.strip(), f"{text!r} stays {chinese!r}"


def test_missing_chinese_is_found(tmp_path: Path) -> None:
    """The check's own negative control: in a template, in code, and with a plural."""
    (tmp_path / "page.html").write_text('<p>{{ _("Nobody translated this") }} {{ _("Desk") }}</p>')
    (tmp_path / "words.py").write_text('A = N_("Nor this")\nB = ngettext("One", "Many", 2)\n')
    lines = untranslated(Place("test", tmp_path / "zh_CN.po", (tmp_path,)))
    found = sorted(line.rsplit(": ", 1)[1] for line in lines)
    assert found == ["'Nobody translated this'", "'Nor this'", "'One'"]


@pytest.mark.parametrize("status", ERROR_TEXTS)
def test_error_page_speaks_both_languages(status: int) -> None:
    pages = Pages()
    title, advice = ERROR_TEXTS[status]
    english = pages.render_error(status=status, correlation_id="c-1", language=ENGLISH)
    chinese = pages.render_error(status=status, correlation_id="c-1", language=CHINESE)
    assert title in english
    assert advice in english
    assert title not in chinese
    assert advice not in chinese
    assert "c-1" in chinese


def test_menu_speaks_chinese() -> None:
    texts = load_texts(CHINESE)
    assert all(HAN.search(texts.gettext(entry.label)) for entry in MENU)


def test_two_services_call_a_component_of_contribution_the_same() -> None:
    """Each service has its own words; staff see both on one customer."""
    said = []
    for name, components in (("customer", customer.COMPONENTS), ("scoring", scoring.COMPONENTS)):
        (place,) = (one for one in places() if one.name == name)
        chinese = load_texts(CHINESE, [place.po]).single
        said.append({code: (text, chinese[text]) for code, text in components.items()})
    assert said[0] == said[1]
