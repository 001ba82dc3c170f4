"""The committed OpenAPI documents are valid, current, and name every call with its permission."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from deploy.openapi import DOCS, SERVICES, document
from deploy.openapi import app_of as stock_app_of
from shared.health import PUBLIC
from shared.http import permission_of, routes_of
from shared.openapi import PROBLEMS, is_page, openapi_of

app_of = cache(stock_app_of)


def committed(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((DOCS / f"{name}.json").read_text(encoding="utf-8"))
    return read


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


@pytest.mark.parametrize("name", SERVICES)
def test_committed_document_is_what_the_routes_say(name):
    assert (DOCS / f"{name}.json").read_text(encoding="utf-8") == document(app_of(name))


@pytest.mark.parametrize("name", SERVICES)
def test_document_is_valid_openapi(name):
    OpenAPIV31SpecValidator(committed(name)).validate()


@pytest.mark.parametrize("name", SERVICES)
def test_document_names_every_call_but_pages_with_its_permission(name):
    routed = {
        (method, route.path_format): [{"bearer": [permission_of(route)]}]
        for route in routes_of(app_of(name))
        for method in route.methods
        if route.path not in PUBLIC and not is_page(route)
    }
    assert len(routed) >= 5
    found = {(method, path): o["security"] for method, path, o in operations(committed(name))}
    assert found == routed


@pytest.mark.parametrize("name", SERVICES)
def test_every_call_documents_its_refusals(name):
    for method, path, operation in operations(committed(name)):
        assert set(PROBLEMS) <= set(operation["responses"]), (method, path)


@pytest.mark.parametrize("name", SERVICES)
def test_with_pages_every_route_is_described(name):
    """The fuzz test walks this one: pages must not fail either."""
    schema = openapi_of(app_of(name), pages=True)
    routed = {
        (method, route.path_format)
        for route in routes_of(app_of(name))
        for method in route.methods
        if route.path not in PUBLIC
    }
    assert {(method, path) for method, path, _ in operations(schema)} == routed
    OpenAPIV31SpecValidator(schema).validate()
