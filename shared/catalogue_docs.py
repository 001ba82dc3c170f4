"""Writes docs/asyncapi.yaml, docs/events.schema.json and docs/events.md from the catalogue.

`python -m shared.catalogue_docs` writes, with `--check` it only says whether they are current.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import yaml
from msgspec import inspect

from shared.events import CATALOGUE, Fact
from shared.events.envelope import EVENT_CLASSES

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
Schema = dict[str, Any]


class Topic(NamedTuple):
    """What a reader wants to know of a topic before its events."""

    key: str
    kept: str
    written_by: str
    read_by: str


TOPICS: Final[dict[str, Topic]] = {
    "bank.events": Topic(
        "customer number (`bank.day_closed`: none, one copy for each partition)",
        "for ever",
        "the bank's systems; the intake of customer for systems without Kafka",
        "customer, scoring, orders",
    ),
    "bank.customers": Topic(
        "customer number, or prospect id",
        "14 days, personal data",
        "the bank's systems; the intake of customer",
        "customer only",
    ),
    "bank.reference": Topic(
        "kind/code/from_on/source; documents: their id",
        "compacted after 90 days",
        "the bank's systems, ops",
        "scoring, others as needed",
    ),
    "customer.events": Topic(
        "customer number; a prospect's party id", "for ever", "customer", "all"
    ),
    "order.lifecycle": Topic("order id", "for ever", "orders", "all"),
    "task.handoffs": Topic("process instance id", "for ever", "workflow", "all"),
    "staff.directory": Topic("kind/id", "compacted, whole records", "workflow", "all"),
    "score.updates": Topic("party id", "compacted, conflated", "scoring", "all"),
    "score.alerts": Topic("party id", "for ever", "scoring", "workflow, customer, notify"),
    "scoring.inputs": Topic(
        "customer number",
        "for ever, private to scoring",
        "scoring (query side)",
        "scoring (worker)",
    ),
    "scoring.rules": Topic(
        "set of rules",
        "compacted, private to scoring",
        "scoring (query side)",
        "scoring (worker)",
    ),
    "notice.requests": Topic("receiver id", "14 days", "any service", "notify"),
    "notice.deliveries": Topic("notice id", "for ever", "notify", "customer, orders, workflow"),
}


# Schemas ---------------------------------------------------------------------------------------


def _schemas(place: str) -> tuple[Schema, list[str]]:
    """All schemas by name with references under `place`, and the names of the events."""
    events = list(EVENT_CLASSES.values())
    _, found = msgspec.json.schema_components(events, ref_template=place + "{name}")
    named = {name: _tidy(schema, place) for name, schema in sorted(found.items())}
    envelope = {**named[events[0].__name__], "title": "Envelope"}
    envelope["description"] = "CloudEvents 1.0, structured mode; every event has these attributes."
    properties = dict(envelope["properties"])
    properties["type"] = {"type": "string"}
    properties["data"] = {"type": "object"}
    envelope["properties"] = properties
    for event in events:
        own = named[event.__name__]["properties"]
        named[event.__name__] = {
            "title": event.__name__,
            "allOf": [
                {"$ref": f"{place}Envelope"},
                {"properties": {"type": own["type"], "data": own["data"]}},
            ],
        }
    shared = {"Envelope": envelope, "Text": _TEXT, "Currency": _currency()}
    return {**shared, **named}, [event.__name__ for event in events]


_TEXT: Final[Schema] = {
    "title": "Text",
    "description": "A sentence for people, rendered by its writer in both languages.",
    "type": "object",
    "properties": {
        "zh-CN": {"type": "string", "minLength": 1},
        "en": {"type": "string", "minLength": 1},
    },
    "required": ["zh-CN", "en"],
    "additionalProperties": False,
}


def _currency() -> Schema:
    from shared.money import EXPONENTS

    return {"title": "Currency", "description": "ISO 4217.", "enum": sorted(EXPONENTS)}


def _tidy(schema: Any, place: str) -> Any:
    """Shorter without another meaning: one name for texts and currencies, draft 7 tuples."""
    if isinstance(schema, list):
        return [_tidy(item, place) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("minProperties") == 2 and "properties" not in schema:
        return {"$ref": f"{place}Text"}
    if "CNY" in schema.get("enum", ()):
        return {"$ref": f"{place}Currency"}
    if "prefixItems" in schema:
        tuple_items = _tidy(schema["prefixItems"], place)
        rest = {k: v for k, v in schema.items() if k not in ("prefixItems", "items")}
        return {**rest, "items": tuple_items, "additionalItems": False}
    choices = schema.get("anyOf")
    if choices and choices[-1] == {"type": "null"} and len(choices) == 2:
        chosen = _tidy(choices[0], place)
        if isinstance(chosen.get("type"), str):
            return {**chosen, "type": [chosen["type"], "null"]}
        return {"anyOf": [chosen, {"type": "null"}]}
    return {key: _tidy(value, place) for key, value in schema.items() if key != "default" or value}


def json_schema() -> Schema:
    """One JSON Schema (draft 7) that every event of the catalogue satisfies, by its `type`."""
    schemas, events = _schemas("#/definitions/")
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Events of Guanxi",
        "oneOf": [{"$ref": f"#/definitions/{name}"} for name in events],
        "definitions": schemas,
    }


def asyncapi() -> Schema:
    """The AsyncAPI 3.0 document: a channel per topic, a message per event, who sends what."""
    schemas, _ = _schemas("#/components/schemas/")
    channels: Schema = {}
    operations: Schema = {}
    messages: Schema = {}
    for topic, told in TOPICS.items():
        facts = _facts_of(topic)
        channels[_slug(topic)] = {
            "address": topic,
            "description": f"Key: {told.key}. Kept: {told.kept}. Read by: {told.read_by}.",
            "messages": {
                f.__name__: {"$ref": f"#/components/messages/{_message_name(f)}"} for f in facts
            },
            "bindings": {"kafka": {"topic": topic}},
        }
        operations[f"publish_{_slug(topic)}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{_slug(topic)}"},
            "summary": f"Written by: {told.written_by}.",
        }
        for fact in facts:
            messages[_message_name(fact)] = _message(fact)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Guanxi",
            "version": "1.0.0",
            "description": "What the bank publishes and what the services say. Generated from"
            " shared/events; do not edit.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def _message(fact: type[Fact]) -> Schema:
    event = EVENT_CLASSES[fact].__name__
    return {
        "name": fact.TYPE,
        "title": fact.__name__,
        "summary": _says(fact),
        "contentType": "application/cloudevents+json",
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": {"$ref": f"#/components/schemas/{event}"},
        "bindings": {"kafka": {"key": {"type": "string"}}},
    }


def _facts_of(topic: str) -> list[type[Fact]]:
    return [fact for fact in CATALOGUE.values() if topic == fact.TOPIC]


def _message_name(fact: type[Fact]) -> str:
    return EVENT_CLASSES[fact].__name__.removesuffix("Event")


def _slug(topic: str) -> str:
    return topic.replace(".", "_")


def _says(fact: type[Fact]) -> str:
    return " ".join((fact.__doc__ or "").split())


# The page --------------------------------------------------------------------------------------

INTRODUCTION: Final = """\
# Events

Generated from `shared/events` by `python -m shared.catalogue_docs`; do not edit. The same as
AsyncAPI 3.0: [asyncapi.yaml](asyncapi.yaml); as JSON Schema:
[events.schema.json](events.schema.json).

## The envelope

CloudEvents 1.0 in structured mode: the Kafka value, and each line of a JSON Lines file, is the
whole event as JSON, with one Kafka header `content-type: application/cloudevents+json`.

| attribute | | rule |
|---|---|---|
| `specversion`, `datacontenttype` | required | `1.0`, `application/json` |
| `type` | required | `<owner>.<noun_past_verb>.v<n>`; a changed meaning is a new version |
| `id`, `source` | required | together the identity: the same pair is the same event; `id` = kind \
and native id (`txn-3530438`) |
| `subject` | required | the Kafka key of the event |
| `time` | required | when it happened, RFC 3339 with a zone; we write UTC |
| `businessdate` | required | the bank's date |
| `sequence` | on our kept topics | 1, 2, 3 ... of the key, so that a reader sees gaps and repeats \
|
| `correlationid`, `causationid`, `rootat` | on our events | the story, the event that caused this \
one, the broker's time of the story's first event |
| `data` | required | the fact; fields that we do not know are ignored |

`sequence` is a CloudEvents Integer (a JSON number, at most 2^31 - 1), not the text of the sequence
extension: it is compared as a number, never as text.

Money is `…_minor`, an integer of minor units within ±2^53, beside `currency` (ISO 4217). Rates and
shares are `…_ppm`, parts per million. `…_at` are instants with a zone, `…_on` dates; `…_code` and
`…_number` are text. A float, a boolean or a text where an integer belongs is refused, and so is an
empty id; the refusal names the field. A field without a value is left out.
"""


def events_page() -> str:
    """The table of all events by topic, for people."""
    lines = [INTRODUCTION]
    for topic, told in TOPICS.items():
        lines += [
            f"## `{topic}`",
            "",
            f"Key: {told.key}. Kept: {told.kept}. Written by: {told.written_by}."
            f" Read by: {told.read_by}.",
            "",
            "| type | says | required | optional |",
            "|---|---|---|---|",
        ]
        for fact in _facts_of(topic):
            info = inspect.type_info(fact)
            assert isinstance(info, inspect.StructType)
            required = [f"`{f.encode_name}`" for f in info.fields if f.required]
            optional = [f"`{f.encode_name}`" for f in info.fields if not f.required]
            lines.append(
                f"| `{fact.TYPE}` | {_says(fact)} | {', '.join(required)} | {', '.join(optional)} |"
            )
        lines.append("")
    return "\n".join(lines)


def documents() -> dict[str, str]:
    """File name in docs/ to its text."""
    return {
        "asyncapi.yaml": "# Generated by python -m shared.catalogue_docs; do not edit.\n"
        + yaml.dump(asyncapi(), Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=90),
        "events.schema.json": json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n",
        "events.md": events_page(),
    }


class _PlainDumper(yaml.SafeDumper):
    """No anchors: a reader of the file should not have to follow them."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def main(arguments: list[str]) -> int:
    stale = [
        name
        for name, text in documents().items()
        if not (DOCS / name).exists() or (DOCS / name).read_text(encoding="utf-8") != text
    ]
    if "--check" in arguments:
        for name in stale:
            print(f"docs/{name} is not what the catalogue says: python -m shared.catalogue_docs")
        return 1 if stale else 0
    DOCS.mkdir(exist_ok=True)
    for name, text in documents().items():
        (DOCS / name).write_text(text, encoding="utf-8")
    print(f"docs: {len(CATALOGUE)} events on {len(TOPICS)} topics")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
