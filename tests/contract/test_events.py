"""Golden samples of every version ever published: they decode for ever, and nothing bad does."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.events import CATALOGUE, Fact, UnknownType, UnknownVersion, decode, encode
from shared.events.envelope import EVENT_CLASSES, Undecodable

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = {path.stem: path.read_bytes() for path in sorted(GOLDEN.glob("*.json"))}
TYPES = sorted(SAMPLES)
TRANSACTION = "bank.transaction_booked.v1"


def sample(name: str) -> dict[str, Any]:
    return json.loads(SAMPLES[name])


def refused(event: Any) -> Undecodable:
    with pytest.raises(Undecodable) as caught:
        decode(json.dumps(event))
    return caught.value


def test_every_type_of_the_catalogue_has_a_golden_sample() -> None:
    assert set(CATALOGUE) <= set(SAMPLES)


@pytest.mark.parametrize("name", TYPES)
def test_golden_sample_decodes_and_re_encodes_equal(name: str) -> None:
    event = decode(SAMPLES[name])
    assert event.type == name
    assert json.loads(encode(event)) == sample(name)


@pytest.mark.parametrize("name", TYPES)
def test_golden_sample_has_a_value_for_every_field(name: str) -> None:
    """Else a renamed optional field would go unseen; a rate has no grade beside a driver."""
    fields = {f.encode_name for f in msgspec.structs.fields(CATALOGUE[name])}
    unseen = fields - set(sample(name)["data"]) - {"grade_code"}
    assert not unseen, f"add {unseen} to tests/contract/golden/{name}.json"


@pytest.mark.parametrize("name", TYPES)
def test_sample_without_its_optional_fields_still_decodes(name: str) -> None:
    event = sample(name)
    kept = {f.encode_name for f in msgspec.structs.fields(CATALOGUE[name]) if f.required}
    kept |= {"currency"} if name == "bank.rate_set.v1" else set()  # its kind is cost_driver
    kept |= {"to_staff_id", "due_at"} if ".task_" in name else set()
    event["data"] = {field: value for field, value in event["data"].items() if field in kept}
    assert type(decode(json.dumps(event)).data) is CATALOGUE[name]


@pytest.mark.parametrize("name", TYPES)
def test_unknown_attributes_and_fields_are_ignored(name: str) -> None:
    event = sample(name)
    event["traceparent"] = "00-1-2-00"
    event["data"]["of_a_newer_writer"] = {"x": [1.5]}
    assert decode(json.dumps(event)) == decode(SAMPLES[name])


@pytest.mark.parametrize("name", TYPES)
def test_missing_required_field_is_named(name: str) -> None:
    for prefix, cls in (("", EVENT_CLASSES[CATALOGUE[name]]), ("data.", CATALOGUE[name])):
        for field in msgspec.structs.fields(cls):
            if not field.required:
                continue
            event = sample(name)
            del (event["data"] if prefix else event)[field.encode_name]
            assert refused(event).field == prefix + field.encode_name


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from leaves(item, (*path, at))
    else:
        yield path, value


def changed(event: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    event = copy.deepcopy(event)
    place: Any = event
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return event


@pytest.mark.parametrize("name", TYPES)
def test_integers_are_neither_floats_nor_booleans_nor_text_nor_huge(name: str) -> None:
    event = sample(name)
    for path, value in leaves(event):
        if type(value) is not int:
            continue
        for wrong in (float(value), value + 0.5, True, str(value), 2**53 + 1, -(2**53) - 1):
            at = refused(changed(event, path, wrong)).field
            assert at.split(".")[0] == path[0]
            assert path[-1] in (at.rpartition(".")[2], path[-1] if at.endswith("]") else "")


@pytest.mark.parametrize("name", TYPES)
def test_ids_are_not_empty_and_instants_have_a_zone(name: str) -> None:
    event = sample(name)
    for path, value in leaves(event):
        if not isinstance(value, str) or path[-1] in ("org_path", "line", "detail", "reason"):
            continue
        if name == "bank.contact_text_recorded.v1" and path[-1] == "text":
            continue
        if path == ("type",):
            continue
        refused(changed(event, path, ""))
        if value.endswith("Z") and "T" in value:
            refused(changed(event, path, value[:-1]))


def test_transaction_refusals_name_field_and_reason() -> None:
    event = sample(TRANSACTION)
    for path, wrong, field, reason in [
        (("data", "amount_minor"), 12.0, "data.amount_minor", "float"),
        (("data", "amount_minor"), False, "data.amount_minor", "bool"),
        (("data", "amount_minor"), 2**53 + 1, "data.amount_minor", "<= 9007199254740992"),
        (("data", "currency"), "XXX", "data.currency", "XXX"),
        (("data", "booked_on"), "2026-02-31", "data.booked_on", "date"),
        (("data", "kind"), "gift", "data.kind", "gift"),
        (("data", "counterparty"), "x", "data.counterparty", "object"),
        (("time",), "2026-03-02T01:30:00", "time", "timezone"),
        (("specversion",), "0.3", "specversion", "0.3"),
        (("datacontenttype",), "text/xml", "datacontenttype", "text/xml"),
        (("data",), None, "data", "object"),
        (("id",), "e\0", "id", "zero"),
        (("data", "counterparty", "bank_code"), "\0", "data.counterparty.bank_code", "zero"),
    ]:
        verdict = refused(changed(event, path, wrong))
        assert (verdict.field, reason in verdict.reason) == (field, True), verdict


def test_what_is_no_envelope_is_undecodable() -> None:
    for value in (b"", b"null", b"[]", b"{", b"\xff\xfe", b'"x"', b"[" * 100_000, b"{}"):
        with pytest.raises(Undecodable):
            decode(value)
    assert decode(SAMPLES[TRANSACTION].replace(b"txn-", b"txn-\\\\u0000", 1)), "only its spelling"
    deep = SAMPLES[TRANSACTION].replace(b'"data": {', b'"data": {"x": ' + b"[" * 50_000)
    with pytest.raises(Undecodable):
        decode(deep)


def test_type_that_is_missing_or_no_text_is_named() -> None:
    event = sample(TRANSACTION)
    assert refused(changed(event, ("type",), 7)).field == "type"
    del event["type"]
    assert refused(event).field == "type"


def test_unknown_type_and_unknown_version_are_told_apart() -> None:
    event = sample(TRANSACTION)
    for name in ("bank.gold_bought.v1", "weather.changed", "", "bank.transaction_booked"):
        with pytest.raises(UnknownType):
            decode(json.dumps(changed(event, ("type",), name)))
    for name in ("bank.transaction_booked.v2", "bank.transaction_booked.v0"):
        with pytest.raises(UnknownVersion) as caught:
            decode(json.dumps(changed(event, ("type",), name)))
        assert caught.value.type == name


@pytest.mark.parametrize("name", ["weather.changed", "bank.transaction_booked.v2"])
def test_of_an_unknown_type_that_is_cut_short_only_the_reader_is_told(name: str) -> None:
    text = json.dumps(changed(sample(TRANSACTION), ("type",), name))
    for length in range(1, len(text), 7):
        with pytest.raises(Undecodable) as caught:
            decode(text[:length])
        assert str(caught.value) == "not JSON: Input data was truncated"
        assert caught.value.field == ""
    with pytest.raises((Undecodable, UnknownType, UnknownVersion)):
        decode(text.encode()[:-9] + b"\xff" + text.encode()[-8:])


def test_of_an_unknown_type_with_no_json_behind_it_the_json_is_the_reason() -> None:
    text = json.dumps(changed(sample(TRANSACTION), ("type",), "weather.changed"))
    nested = '{"type": "weather.changed", "data": ' + "[" * 100_000
    for value, reason in ((text[:-1] + "!", "not JSON: JSON is malformed"), (nested, "nested too")):
        with pytest.raises(Undecodable, match=f"^{reason}"):
            decode(value)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-10:00",
                                  "1969-12-31T23:59:59Z", "9998-12-31T23:59:59-12:00",
                                  "1970-01-01T00:00:00+14:00"])  # fmt: skip
def test_an_instant_that_another_zone_may_not_have_is_refused_by_name(time: str) -> None:
    for name in ("time", "rootat"):
        assert refused(changed(sample(TRANSACTION), (name,), time)).field == name


@pytest.mark.parametrize("time", ["1970-01-01T00:00:00Z", "1971-01-01T00:00:00+14:00",
                                  "9997-12-31T23:59:59-12:00", "9998-12-31T23:59:59Z"])  # fmt: skip
def test_an_instant_that_is_taken_can_be_written_again(time: str) -> None:
    """A service passes `rootat` on in its own events."""
    for name in ("time", "rootat"):
        decode(encode(decode(json.dumps(changed(sample(TRANSACTION), (name,), time)))))


def test_amount_without_currency_is_refused_where_both_are_optional() -> None:
    for name, amount in [
        ("bank.relation_recorded.v1", "amount_minor"),
        ("bank.collateral_recorded.v1", "value_minor"),
        ("bank.customer_recorded.v1", "registered_capital_minor"),
        ("bank.rate_set.v1", "value"),
    ]:
        event = sample(name)
        del event["data"]["currency"]
        assert refused(event).field == "data.currency"
        if name != "bank.rate_set.v1":
            del event["data"][amount]
            decode(json.dumps(event))


def test_a_text_has_both_languages_and_no_third() -> None:
    event = sample("scoring.alert_raised.v1")
    for text in ({"en": "a"}, {"zh-CN": "a"}, {"en": "a", "zh-CN": "b", "de": "c"}, "a"):
        assert refused(changed(event, ("data", "text"), text)).field.startswith("data.text")


def test_a_link_stays_on_our_own_origin() -> None:
    event = sample("notify.notice_requested.v1")
    for link in ("https://evil.example/", "//evil.example/", "javascript:alert(1)", "inbox"):
        assert refused(changed(event, ("data", "link"), link)).field == "data.link"


def test_what_readers_would_refuse_is_not_written() -> None:
    event = decode(SAMPLES[TRANSACTION])
    wrong = msgspec.structs.replace(event.data, amount_minor=1.0)
    with pytest.raises(Undecodable):
        encode(msgspec.structs.replace(event, data=wrong))


def test_names_follow_the_contract() -> None:
    for name, fact in CATALOGUE.items():
        assert name.split(".")[0] == fact.__module__.split(".")[2], name
        assert fact.__doc__ not in (None, "", Fact.__doc__), name
        assert (fact.TOPIC == "bank.customers") == fact.PERSONAL, name
    names = [fact.__name__ for fact in CATALOGUE.values()]
    assert len(names) == len(set(names))
