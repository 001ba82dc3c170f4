"""The published documents: current, valid AsyncAPI, and true of the events."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from shared import catalogue_docs
from shared.events import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"
ASYNCAPI = ROOT / "node_modules/@asyncapi/specs/schemas/3.0.0.json"


@pytest.mark.parametrize("name", ["asyncapi.yaml", "events.md", "events.schema.json"])
def test_committed_document_is_what_the_catalogue_says(name: str) -> None:
    assert (ROOT / "docs" / name).read_text("utf-8") == catalogue_docs.documents()[name]


def test_document_is_valid_asyncapi_3() -> None:
    assert ASYNCAPI.exists(), "run npm ci: the AsyncAPI schema is a front-end package"
    document = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text("utf-8"))
    validator = jsonschema_rs.validator_for(json.loads(ASYNCAPI.read_bytes()))
    assert [str(error) for error in validator.iter_errors(document)] == []
    assert not validator.is_valid({**document, "asyncapi": "2.6.0"})


def test_every_reference_of_the_document_points_at_something() -> None:
    document = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text("utf-8"))

    def follow(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                follow(item)
        elif isinstance(value, dict):
            if "$ref" in value:
                target: Any = document
                for step in value["$ref"].removeprefix("#/").split("/"):
                    target = target[step]
            for item in value.values():
                follow(item)

    follow(document)


def test_every_event_is_on_exactly_one_channel() -> None:
    channels = catalogue_docs.asyncapi()["channels"].values()
    told = [name for channel in channels for name in channel["messages"]]
    assert sorted(told) == sorted(fact.__name__ for fact in CATALOGUE.values())


def test_topics_are_those_that_are_created_and_kept_alike() -> None:
    created = yaml.safe_load((ROOT / "deploy/kafka/topics.yaml").read_text("utf-8"))["topics"]
    assert set(catalogue_docs.TOPICS) == {fact.TOPIC for fact in CATALOGUE.values()}
    for topic, told in catalogue_docs.TOPICS.items():
        keep = created[topic]["keep"].replace("forever", "for ever").replace("14d", "14 days")
        assert told.kept.startswith(keep), topic


@pytest.fixture(scope="module")
def accepts() -> Callable[[Any], bool]:
    schema = catalogue_docs.json_schema()
    return jsonschema_rs.validator_for(schema, validate_formats=True).is_valid


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_golden_sample_satisfies_the_schema(name: str, accepts: Callable[[Any], bool]) -> None:
    event = json.loads((GOLDEN / f"{name}.json").read_bytes())
    assert accepts(event)
    assert not accepts({**event, "type": f"{name}x"})
    assert not accepts({**event, "id": ""})
    assert not accepts({key: value for key, value in event.items() if key != "data"})


def test_schema_refuses_what_the_decoder_refuses(accepts: Callable[[Any], bool]) -> None:
    event = json.loads((GOLDEN / "bank.transaction_booked.v1.json").read_bytes())
    for field, wrong in [
        ("amount_minor", 1.5),
        ("amount_minor", True),
        ("amount_minor", 2**53 + 1),
        ("currency", "XXX"),
        ("booked_on", "2026-02-31"),
        ("kind", "gift"),
        ("customer_number", ""),
    ]:
        assert not accepts({**event, "data": {**event["data"], field: wrong}})
