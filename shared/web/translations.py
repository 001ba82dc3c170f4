"""Both languages: catalogues read from po files, and their check.

`python -m shared.web.translations extract [orders]`  writes new msgids into the po files
`python -m shared.web.translations check [orders]`    fails when a text has no Chinese

English is the msgid itself; a po file of `en` holds only the few texts that need a plural.
A text of shared/ is in shared/web/locale/zh_CN/LC_MESSAGES/guanxi.po, one of a service in
services/<x>/pages/locale/zh_CN.po; a service's own entry wins where both have one.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[2]
LOCALE = Path(__file__).resolve().parent / "locale"
CHINESE, ENGLISH = "zh-CN", "en"
LANGUAGES = (CHINESE, ENGLISH)
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "_": None,
    "N_": None,
    "gettext": None,
    "ngettext": (1, 2),
}
METHODS = [
    ("**/tests/**", "ignore"),
    ("**/migrations/**", "ignore"),
    ("**.py", "python"),
    ("**.html", "jinja2.ext:babel_extract"),
    ("**.txt", "jinja2.ext:babel_extract"),
]
HEADER = """# The Chinese of our texts. Written, not translated: short verbs, no English leftovers.
msgid ""
msgstr ""
"Language: zh_CN\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""
SOURCES_OF_SHARED = ("shared", "deploy/gateway", "deploy/local")


def N_(text: str) -> str:  # noqa: N802 -- gettext's own name for "translate this later"
    """Marks a msgid that is translated where it is shown."""
    return text


@dataclass(frozen=True)
class Texts:
    """The translations of one language."""

    language: str
    single: dict[str, str] = field(default_factory=dict)
    plural: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def gettext(self, text: str) -> str:
        return self.single.get(text, text)

    def ngettext(self, one: str, many: str, count: int) -> str:
        forms = self.plural.get(one)
        if forms is None:
            return one if count == 1 and self.language != CHINESE else many
        return forms[0] if len(forms) == 1 or count == 1 else forms[1]


def normal_language(asked: str | None) -> str | None:
    """`zh`, `zh-CN`, `zh_CN`, `zh-Hans` are Chinese, `en-GB` English; anything else is None."""
    head = (asked or "").replace("_", "-").split("-")[0].strip().lower()
    return {"zh": CHINESE, "en": ENGLISH}.get(head)


def language_of(accept_language: str | None, own: str | None = None) -> str:
    """The reader's language: the first known one asked for, else their own, else Chinese."""
    for part in (accept_language or "").split(",")[:10]:
        known = normal_language(part.split(";")[0])
        if known is not None:
            return known
    return normal_language(own) or CHINESE


def load_texts(language: str, po_files: Iterable[Path] = ()) -> Texts:
    """The shared catalogue and then the given files, later ones winning."""
    texts = Texts(language)
    name = language.replace("-", "_")
    for path in (LOCALE / name / "LC_MESSAGES" / "guanxi.po", *po_files):
        if not path.is_file():
            continue
        for message in _read(path, name):
            if not message.id or not message.string or message.fuzzy:
                continue
            if isinstance(message.id, tuple | list):
                if all(message.string):
                    texts.plural[message.id[0]] = tuple(message.string)
            else:
                texts.single[message.id] = str(message.string)
    return texts


@cache
def shared_texts(language: str) -> Texts:
    return load_texts(language)


def translate(language: str, text: str, /, **values: object) -> str:
    """A shared text outside of a page: API errors, notices. `values` fill %(name)s."""
    read = shared_texts(normal_language(language) or CHINESE).gettext(text)
    return read % values if values else read


def _read(path: Path, locale: str) -> Catalog:
    with path.open("rb") as stream:
        return read_po(stream, locale=locale, abort_invalid=True)


# --- extraction and check -----------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """One po file and the folders whose texts it holds."""

    name: str  # shared, or the service
    po: Path
    sources: tuple[Path, ...]


def places(name: str | None = None) -> list[Place]:
    """All of them, or the one of this name."""
    shared = Place(
        "shared",
        LOCALE / "zh_CN" / "LC_MESSAGES" / "guanxi.po",
        tuple(ROOT / source for source in SOURCES_OF_SHARED),
    )
    services = [
        Place(init.parent.name, init.parent / "pages" / "locale" / "zh_CN.po", (init.parent,))
        for init in sorted((ROOT / "services").glob("*/__init__.py"))
    ]
    return [place for place in (shared, *services) if name in (None, place.name)]


def used(sources: Sequence[Path]) -> Catalog:
    """Every msgid in use below the folders, with where."""
    catalog = Catalog(project="guanxi", charset="utf-8", fuzzy=False)
    for source in sources:
        if not source.is_dir():
            continue
        found = extract_from_dir(
            str(source),
            method_map=METHODS,
            options_map={"**.html": {"silent": "false"}, "**.txt": {"silent": "false"}},
            keywords=KEYWORDS,
            strip_comment_tags=True,
        )
        for filename, line, message, comments, context in found:
            where = os.path.relpath(source / filename, ROOT)
            catalog.add(message, None, [(where, line)], auto_comments=comments, context=context)
    return catalog


def extract(place: Place) -> int:
    """Brings one po file up to date, keeping what is translated. Returns texts without Chinese."""
    template = used(place.sources)
    if not len(template) and not place.po.is_file():
        return 0
    current = _read(place.po, "zh_CN") if place.po.is_file() else Catalog(locale="zh_CN")
    kept = {message.id: message for message in current if message.id}
    current.update(template, no_fuzzy_matching=True)
    for message_id, message in kept.items():
        if message_id not in current:  # not used yet, or no more: a person decides, not we
            current[message_id] = message
    current.obsolete.clear()
    place.po.parent.mkdir(parents=True, exist_ok=True)
    with place.po.open("wb") as stream:
        stream.write(HEADER.encode())
        write_po(stream, current, width=100, sort_output=True, omit_header=True, no_location=True)
    return sum(1 for message in current if message.id and not _translated(message.string))


def untranslated(place: Place) -> list[str]:
    """One line per text in use that has no Chinese: where it is used and its msgid."""
    texts = load_texts(CHINESE, (place.po,))
    lines = []
    for message in used(place.sources):
        if not message.id:
            continue
        plural = isinstance(message.id, tuple | list)
        key = message.id[0] if plural else message.id
        if key not in (texts.plural if plural else texts.single):
            where = ", ".join(f"{name}:{line}" for name, line in message.locations[:2])
            lines.append(f"{where}: {key!r}")
    return lines


def _translated(string: object) -> bool:
    return all(string) if isinstance(string, tuple | list) else bool(string)


def main(arguments: Sequence[str]) -> int:
    act, name = (*arguments, None, None)[:2]
    if act not in ("extract", "check") or (name and not places(name)):
        print(__doc__, file=sys.stderr)
        return 2
    if act == "extract":
        for place in places(name):
            left = extract(place)
            if place.po.is_file():
                print(f"{place.po.relative_to(ROOT)}: {left} texts without Chinese")
        return 0
    lines = [line for place in places(name) for line in untranslated(place)]
    for line in lines:
        print(f"no Chinese: {line}")
    print(f"translations: {len(lines)} missing" if lines else "translations: complete")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
