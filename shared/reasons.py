"""Why a message is not applied, in the reader's language.

A reason is kept as it was found, in English: it is evidence, and logs search for it. Its fixed
part is said anew here; what it names stays as it was.
"""

import re

from shared.web.translations import N_

_PATTERNS = tuple(
    (re.compile(pattern, re.DOTALL), msgid)
    for pattern, msgid in (
        (r"Object missing required field `(?P<field>.*)`", N_("the field %(field)s is missing")),
        (
            r"Expected `(?P<wanted>.*)`, got `(?P<found>.*)`",
            N_("expected %(wanted)s, found %(found)s"),
        ),
        (r"Expected (?P<wanted>.*)", N_("not within what is allowed: %(wanted)s")),
        (r"Invalid (?:enum )?value (?P<value>.*)", N_("%(value)s is not an allowed value")),
        (r"Invalid (?P<what>.*)", N_("not valid: %(what)s")),
        (r"not JSON: (?P<what>.*)", N_("not readable as JSON: %(what)s")),
        (r"nested too deeply", N_("nested too deeply")),
        (r"a zero character, .*", N_("it has a zero character, which no database here can store")),
        (r"unknown version (?P<type>.*)", N_("version %(type)s is not known to this release")),
        (r"waits behind a parked message", N_("waits behind a parked message of the same key")),
        (r"(?P<type>\S+) belongs on (?P<topic>\S+)", N_("%(type)s belongs on %(topic)s")),
        (
            r"partition (?P<here>\d+) holds the copy for partition (?P<right>\d+)",
            N_("the copy for partition %(right)s stands in partition %(here)s"),
        ),
        (
            r"subject '(?P<subject>.*)' is not the key '(?P<key>.*)' of its data",
            N_("its subject %(subject)s is not the key of its data, %(key)s"),
        ),
        (r"no key, expected '(?P<key>.*)'", N_("it has no key; %(key)s is expected")),
        (r"key '(?P<found>.*)' is not '(?P<key>.*)'", N_("its key is %(found)s, not %(key)s")),
        (
            r"partition (?P<here>\d+) of \d+, key '(?P<key>.*)' belongs in (?P<right>\d+)",
            N_("key %(key)s belongs in partition %(right)s, not in %(here)s"),
        ),
        (r"dated in the future", N_("dated in the future")),
        (r"dated in the far past", N_("dated in the far past")),
        (
            r"dated before (?P<source>.*) became active on (?P<day>\S+)",
            N_("dated before its source %(source)s became active on %(day)s"),
        ),
        (
            r"(?P<day>\S+) is before (?P<source>.*) became active",
            N_("%(day)s is before its source %(source)s became active"),
        ),
        (r"(?P<day>\S+) lies in the far past", N_("%(day)s lies in the far past")),
        (
            r"(?P<day>\S+) lies in the future of the bank",
            N_("%(day)s lies in the future of the bank"),
        ),
        (
            r"it was refused before; the verdict on an (?:event|input) stays",
            N_("it was refused before, and that verdict stays"),
        ),
        (r"no value", N_("it has no content")),
        (
            r"a close is not replayed: its source sends it again",
            N_("a close is not replayed: its source sends it again"),
        ),
        (r"an input without its sequence", N_("an input without its sequence")),
        (
            r"partition (?P<here>\d+) of \d+, its key belongs in (?P<right>\d+)",
            N_("its key belongs in partition %(right)s, not in %(here)s"),
        ),
        (r"ValueError\([\"']still \w+: (?P<why>.*)[\"']\)", N_("still not applied: %(why)s")),
        (r"(?P<error>\w+\(.*\))", N_("our code failed on it: %(error)s")),
    )
)


def in_words(reason: str) -> tuple[str, dict[str, str]]:
    """The sentence for a reason, a msgid, and what it names; an empty one for a reason that is not
    known here."""
    for pattern, msgid in _PATTERNS:
        found = pattern.fullmatch(reason)
        if found:
            return msgid, found.groupdict()
    return "", {}
