"""Why a message is not applied, in the reader's language.

A reason is kept as it was found, in English: it is evidence, and logs search for it. Here it is
taken apart into a code and what it names, and said anew. What it names stays as it was where it is
data (a field, a key, a day) and is translated where it is a word of the decoder (`int`, `null`). A
sentence is whole or is not said: a reason of which a part is not known has the code `other`.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from shared.web.translations import N_


class Reason(NamedTuple):
    """What is wrong, for machines, and what it names."""

    code: str
    values: dict[str, str]


class Form(NamedTuple):
    """One way in which a reason is worded. Its groups are the values of the sentence."""

    code: str
    pattern: str
    sentence: str


OTHER = "other"
_FORMS = (
    # What the decoder finds
    Form("missing", r"Object missing required field `(?P<field>.*)`",
         N_("the field %(field)s is missing")),
    Form("type", r"Expected `(?P<wanted>[^`]*)`, got `(?P<found>[^`]*)`",
         N_("expected %(wanted)s, found %(found)s")),
    Form("type_wanted", r"Expected `(?P<wanted>[^`]*)`", N_("expected %(wanted)s")),
    Form("at_least", r"Expected `(?:int|float)` >= (?P<bound>\S+)",
         N_("it must be at least %(bound)s")),
    Form("at_most", r"Expected `(?:int|float)` <= (?P<bound>\S+)",
         N_("it must be at most %(bound)s")),
    Form("length_at_least", r"Expected `(?P<wanted>[^`]*)` of (?:at least )?length (?:>= )?"
         r"(?P<bound>\d+)", N_("expected %(wanted)s with a length of at least %(bound)s")),
    Form("length_at_most", r"Expected `(?P<wanted>[^`]*)` of length <= (?P<bound>\d+)",
         N_("expected %(wanted)s with a length of at most %(bound)s")),
    Form("pattern", r"Expected `str` matching regex '(?P<pattern>.*)'",
         N_("it does not have the form %(pattern)s")),
    Form("no_zone", r"Expected `\w+` with a timezone component",
         N_("the instant has no time zone")),
    Form("value", r"Invalid (?:enum )?value '?(?P<value>.*?)'?",
         N_("%(value)s is not an allowed value")),
    Form("date", r"Invalid RFC3339 encoded date", N_("it is not a date as 2026-03-31")),
    Form("instant", r"Invalid RFC3339 encoded datetime",
         N_("it is not an instant as 2026-03-31T09:30:00Z")),
    Form("number", r"(?:Integer value|Number) out of range", N_("the number is too large")),
    Form("json_cut", r"not JSON: Input data was truncated",
         N_("not readable as JSON: it ends too early")),
    Form("json_at", r"not JSON: JSON is malformed: .* \(byte (?P<at>\d+)\)",
         N_("not readable as JSON from byte %(at)s on")),
    Form("json_text", r"not JSON: 'utf-8' codec can't decode byte \S+ in position (?P<at>\d+): .*",
         N_("not readable as UTF-8 text from byte %(at)s on")),
    Form("json", r"not JSON: .*", N_("not readable as JSON")),
    Form("nested", r"nested too deeply", N_("nested too deeply")),
    Form("year", r"the year (?P<year>\d+) is a date gone wrong",
         N_("the year %(year)s is a date gone wrong")),
    Form("zero", r"a zero character, .*",
         N_("it has a zero character, which no database here can store")),
    Form("version", r"unknown version (?P<type>.*)",
         N_("version %(type)s is not known to this release")),
    # Where it stands
    Form("topic", r"(?P<type>\S+) belongs on (?P<topic>\S+)", N_("%(type)s belongs on %(topic)s")),
    Form("copy", r"partition (?P<here>\d+) holds the copy for partition (?P<right>\d+)",
         N_("the copy for partition %(right)s stands in partition %(here)s")),
    Form("subject", r"subject '(?P<subject>.*)' is not the key '(?P<key>.*)' of its data",
         N_("its subject %(subject)s is not the key of its data, %(key)s")),
    Form("no_key", r"no key, expected '(?P<key>.*)'", N_("it has no key; %(key)s is expected")),
    Form("key", r"key '(?P<found_key>.*)' is not '(?P<key>.*)'",
         N_("its key is %(found_key)s, not %(key)s")),
    Form("partition", r"partition (?P<here>\d+) of \d+, key '(?P<key>.*)' belongs in "
         r"(?P<right>\d+)", N_("key %(key)s belongs in partition %(right)s, not in %(here)s")),
    Form("input_partition", r"partition (?P<here>\d+) of \d+, its key belongs in (?P<right>\d+)",
         N_("its key belongs in partition %(right)s, not in %(here)s")),
    # When it was
    Form("future", r"dated in the future", N_("dated in the future")),
    Form("future_time", r"the time (?P<instant>\S+) lies in the future of the bank",
         N_("the time %(instant)s lies in the future of the bank")),
    Form("past", r"dated in the far past", N_("dated in the far past")),
    Form("inactive", r"dated before (?P<source>.*) became active on (?P<day>\S+)",
         N_("dated before its source %(source)s became active on %(day)s")),
    Form("inactive_day", r"(?P<day>\S+) is before (?P<source>.*) became active",
         N_("%(day)s is before its source %(source)s became active")),
    Form("past_day", r"(?P<day>\S+) lies in the far past", N_("%(day)s lies in the far past")),
    Form("future_day", r"(?P<day>\S+) lies in the future of the bank",
         N_("%(day)s lies in the future of the bank")),
    # What the scoring worker finds
    Form("refused_before", r"it was refused before; the verdict on an (?:event|input) stays",
         N_("it was refused before, and that verdict stays")),
    Form("empty", r"no value", N_("it has no content")),
    Form("close", r"a close is not replayed: its source sends it again",
         N_("a close is not replayed: its source sends it again")),
    Form("no_sequence", r"an input without its sequence", N_("an input without its sequence")),
    Form("sum", r"a sum would leave the range of exact figures",
         N_("a sum would leave the range of exact figures")),
    Form("day_gone", r"the balances of that day are no longer kept",
         N_("the balances of that day are no longer kept")),
    Form("not_open", r"the account was not open on that day",
         N_("the account was not open on that day")),
    Form("closed_later", r"the account was closed on a later day",
         N_("the account was closed on a later day")),
    Form("opened_later", r"the account was opened on a later day",
         N_("the account was opened on a later day")),
    Form("loan", r"loan (?P<loan>.*) is not known", N_("loan %(loan)s is not known")),
    Form("account", r"account (?P<account>.*) is not known",
         N_("account %(account)s is not known")),
    Form("no_rate", r"no rate for (?P<product>.*) on (?P<day>\S+); the first: there is none",
         N_("there is no rate for %(product)s on %(day)s")),
    Form("late_rate", r"no rate for (?P<product>.*) on (?P<day>\S+); the first: (?P<first>\S+)",
         N_("there is no rate for %(product)s on %(day)s; the first is of %(first)s")),
    # What became of it
    Form("behind", r"waits behind a parked message",
         N_("waits behind a parked message of the same key")),
    Form("still", r"ValueError\([\"']still \w+: (?P<why>.*)[\"']\)",
         N_("still not applied: %(why)s")),
    Form("failed", r"\w+\(.*\)", N_("our code failed on it")),
    # Why a listener stopped
    Form("many_parked", r"(?P<count>\d+) messages parked within an hour",
         N_("%(count)s messages were parked within an hour")),
    Form("recreated", r"(?P<place>\S+): the topic was recreated \(.*\)",
         N_("the topic at %(place)s was recreated")),
    Form("outside", r"(?P<place>\S+): position (?P<at>\d+) is outside the log (?P<log>\S+)",
         N_("position %(at)s of %(place)s is outside the log %(log)s")),
)  # fmt: skip
_PATTERNS = tuple((form.code, re.compile(form.pattern, re.DOTALL)) for form in _FORMS)
_SENTENCES = {form.code: form.sentence for form in _FORMS}
_SENTENCES[OTHER] = N_("for a reason that has no words yet; the original says it")

# The decoder's words for what it wants and finds
_TYPES = {
    "int": N_("a whole number"),
    "float": N_("a number with decimals"),
    "str": N_("a text"),
    "bool": N_("true or false"),
    "null": N_("nothing"),
    "array": N_("a list"),
    "object": N_("an object with fields"),
    "date": N_("a date"),
    "datetime": N_("an instant"),
}
_OF_TYPES = ("wanted", "found")  # the values that hold the decoder's words, as `date | null`


def taken_apart(reason: str) -> Reason:
    """The code of a reason and what it names."""
    for code, pattern in _PATTERNS:
        found = pattern.fullmatch(reason)
        if found:
            values = found.groupdict()
            return Reason(code, values) if _is_known(values) else Reason(OTHER, {})
    return Reason(OTHER, {})


def _is_known(values: Mapping[str, str]) -> bool:
    words = [word for name in _OF_TYPES for word in values.get(name, "null").split(" | ")]
    return all(word in _TYPES for word in words)


def in_words(reason: str, gettext: Callable[[str], str]) -> str:
    """The whole sentence for a reason, in the language of `gettext`."""
    code, values = taken_apart(reason)
    said = dict(values)
    for name in _OF_TYPES:
        if name in said:
            words = [gettext(_TYPES[word]) for word in said[name].split(" | ")]
            said[name] = gettext(N_(" or ")).join(words)
    if "why" in said:
        said["why"] = in_words(said["why"], gettext)
    return gettext(_SENTENCES[code]) % said
