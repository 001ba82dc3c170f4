"""Requests that nobody would write: whatever comes in, no service answers 5xx."""

import importlib
import re
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from deploy.openapi import SERVICES
from shared.http import routes_of
from shared.openapi import openapi_of
from shared.policy import Actor, Scope
from shared.testing.space import Space
from tests.integration.authority_table import MAY

EXAMPLES_PER_OPERATION = 6
ENDLESS = {"/stream"}
PERMISSIONS = frozenset(MAY) - {"public"}
ANYONE = Actor(
    "S001",
    name="陈国栋",
    permissions=PERMISSIONS,
    scopes=tuple(Scope(permission, "all") for permission in sorted(PERMISSIONS)),
    limits={"order.approve": 10**12},
    org_path="/head",
)
QUIET = settings(
    max_examples=EXAMPLES_PER_OPERATION,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def call(client: TestClient, case: Any) -> int:
    """Sends a generated case in process; its status."""
    kwargs = case.as_transport_kwargs(base_url="http://testserver")
    for unused in ("cookies", "auth", "cert", "verify", "timeout"):
        kwargs.pop(unused, None)
    kwargs["headers"] = {
        name: value
        for name, value in (kwargs.get("headers") or {}).items()
        if name.lower() != "authorization"  # the client's own: strangers have another test
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            answer = client.request(**kwargs)
        except (UnicodeError, httpx.InvalidURL):  # a header or path that no client can send
            return 0
    return int(answer.status_code)


def try_operation(
    client: TestClient,
    operation: Any,
    mode: GenerationMode,
    statuses: Counter[int],
    failed: dict[str, str],
) -> None:
    @QUIET
    @given(case=operation.as_strategy(generation_mode=mode))
    def tried(case: Any) -> None:
        status = call(client, case)
        statuses[status] += 1
        if status >= 500:
            failed[operation.label] = case.as_curl_command()

    try:
        tried()
    except Unsatisfiable:  # an operation without parameters and body cannot be called wrongly
        assert mode is GenerationMode.NEGATIVE, operation.label


@pytest.mark.parametrize("name", SERVICES)
def test_no_request_makes_a_service_fail(
    space: Space, name: str, figure: Callable[[str], None]
) -> None:
    service = space.service(importlib.import_module(f"services.{name}.__main__").SERVICE)
    client = service.client(ANYONE)
    document = openapi_of(client.app, pages=True)  # type: ignore[arg-type]
    schema = schemathesis.openapi.from_dict(document)
    statuses: Counter[int] = Counter()
    failed: dict[str, str] = {}
    with client:  # one event loop for all requests, not one for each
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path in ENDLESS:
                continue
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                try_operation(client, operation, mode, statuses, failed)
    figure(f"{name}: {sum(statuses.values())} requests, {dict(sorted(statuses.items()))}")
    assert failed == {}
    assert statuses[200] > 0
    assert statuses[422] > 0


@pytest.mark.parametrize("name", SERVICES)
def test_what_the_database_cannot_store_is_the_caller_s_mistake(space: Space, name: str) -> None:
    """Generators rarely write a NUL, attackers often."""
    service = space.service(importlib.import_module(f"services.{name}.__main__").SERVICE)
    client = service.client(ANYONE)
    failed = []
    for route in routes_of(client.app):  # type: ignore[arg-type]
        if route.path in ENDLESS:
            continue
        path = re.sub(r"{[^}]*}", "a%00b", route.path or "")
        values = {p.alias: "a\0" + "9" * 30 for p in route.dependant.query_params}
        for method in route.methods or ():
            answer = client.request(method, path, params=values)
            if answer.status_code >= 500:
                failed.append(f"{method} {path}")
    assert failed == []
