"""Every route of every service, tried by every role of the demo and by strangers."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import APIRouter
from fastapi.testclient import TestClient

from services.workflow.commands.seed import seed_organisation
from shared.http import create_app, permission_of, routes_of
from shared.runtime import Runtime, Service
from shared.settings import Settings
from shared.testing.servers import Servers
from shared.testing.space import ServiceUnderTest, Space, token_for
from shared.web.menu import MENU, MenuEntry
from tests.integration.authority_table import MAY, PUBLIC, ROUTES, table_of

ORGANISATION = Path(__file__).parents[2] / "deploy" / "demo_organisation.yaml"
# One of the demo's staff for each role: each holds this role only.
STAFF = {
    "relationship_manager": "S012",
    "teller": "S016",
    "approver": "S015",
    "branch_head": "S011",
    "head_office": "S006",
    "risk_officer": "S004",
    "ops": "S003",
    "administrator": "S002",
}
CALLERS: dict[str, str | None] = {
    **{role: token_for(staff_id) for role, staff_id in STAFF.items()},
    "system_bank": token_for("core", kind="system", permissions=["bank_events.publish"]),
    "nobody": None,
    "a forged token": token_for("S001")[:-8] + "AAAAAAAA",
    "a stranger": token_for("S999"),
    "a system without permissions": token_for("core", kind="system"),
    # staff hold what the directory says, whatever their token claims
    "a teller claiming more": token_for("S016", permissions=sorted(MAY)),
}
UNKNOWN = {"nobody", "a forged token", "a stranger"}
VALUES = {
    "letter_id": "987654",
    "tab": "timeline",
    "merge_id": "00000000-0000-0000-0000-000000000000",
}


def service_of(name: str) -> Service:
    found: Service = importlib.import_module(f"services.{name}.__main__").SERVICE
    return found


def demo() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(ORGANISATION.read_text(encoding="utf-8"))
    return read


@pytest.fixture(scope="module")
def directory(servers: Servers) -> Iterator[Space]:
    """The demo's organisation, said by workflow on staff.directory."""
    space = Space(servers)
    workflow = space.service(service_of("workflow"))
    with workflow.database.transaction() as tx:
        seed_organisation(tx, ORGANISATION)
    while workflow.relay_once():
        pass
    yield space
    space.close()


def learned(space: Space, name: str) -> ServiceUnderTest:
    service = space.service(service_of(name))
    service.runtime.learn_directory_end()
    service.drain()
    assert service.runtime.directory.ready()
    return service


def expected_of(caller: str, permission: str) -> str:
    role = {"a teller claiming more": "teller"}.get(caller, caller)
    if permission == PUBLIC or role in MAY[permission]:
        return "allowed"
    return "401" if caller in UNKNOWN else "403"


def outcome_of(client: TestClient, method: str, path: str, token: str | None) -> str:
    """401, 403 for a missing permission, or allowed: what the command then says is another test.

    A record outside the data scope answers 403 as well, with another code.
    """
    headers = {"authorization": f"Bearer {token}"} if token is not None else {}
    body = None if method in ("GET", "DELETE") else {}
    answer = client.request(method, path, headers=headers, json=body)
    assert answer.status_code < 500, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
    if answer.status_code == 403 and answer.json()["code"] != "permission_missing":
        return "allowed"
    return str(answer.status_code) if answer.status_code in (401, 403) else "allowed"


def path_of(template: str) -> str:
    parts = []
    for part in template.split("/"):
        name = part.removeprefix("{").removesuffix("}").partition(":")[0]
        parts.append(VALUES.get(name, "none-such") if part.startswith("{") else part)
    return "/".join(parts)


@pytest.mark.parametrize("entry", MENU, ids=lambda entry: entry.path)
def test_the_menu_shows_a_door_to_those_whom_it_lets_in(entry: MenuEntry) -> None:
    _, service, path = entry.path.split("/", 2)
    lines = [line.split() for line in ROUTES[service].strip().splitlines()]
    assert ["GET", f"/{path}", entry.permission] in lines


# who, which queue -> may he watch it live?
WATCHED_QUEUES = {
    ("S016", "teller:/head/SH01/retail"): True,
    ("S016", "teller:/head/BJ01/retail"): False,  # another branch's
    ("S016", "teller:/head"): False,
    ("S016", "relationship_manager:/head/SH01/retail"): False,  # not his role
    ("S016", "teller"): False,
    ("S016", "teller:"): False,
    ("S012", "relationship_manager:/head/SH01/retail"): True,
    ("S012", "relationship_manager:/head/SH01/retail/x"): False,
    ("S015", "approver:/head/SH01"): True,
    ("S024", "approver:/head/SH01"): False,
    ("S011", "branch_head:/head/SH01/retail"): True,  # its scope reaches down
    ("S011", "branch_head:/head/SH010"): False,
    ("S021", "branch_head:/head/SH01"): False,
    ("S001", "branch_head:/head/SH01"): True,
    ("S003", "ops:/head/SH01"): True,  # of the whole bank
    ("S003", "teller:/head/SH01/retail"): False,
}


def test_a_queue_is_watched_only_by_those_who_work_on_it(directory: Space) -> None:
    """The stream names the first audience it denies: a queue that is allowed gives way to the
    next one, which is nobody's."""
    notify = learned(directory, "notify")
    for (staff_id, queue), allowed in WATCHED_QUEUES.items():
        audiences = f"queue:{queue} staff:nobody"
        answer = notify.client(staff_id).get("/stream", params={"audiences": audiences})
        assert answer.status_code == 403
        denied = "staff:nobody" if allowed else f"queue:{queue}"
        assert f"audience {denied} " in answer.json()["message"], (staff_id, queue)


@pytest.mark.parametrize("name", sorted(ROUTES))
def test_every_route_lets_in_exactly_the_roles_of_the_table(
    directory: Space, name: str, figure: Callable[[str], None]
) -> None:
    service = learned(directory, name)
    app = create_app(service.runtime)
    table = table_of(name)
    found = {
        (m, str(r.path)): permission_of(r) or PUBLIC for r in routes_of(app) for m in r.methods
    }
    assert found == table
    cells, wrong = 0, []
    with TestClient(app, raise_server_exceptions=False) as client:
        for (method, template), permission in table.items():
            for caller, token in CALLERS.items():
                outcome = outcome_of(client, method, path_of(template), token)
                cells += 1
                if outcome != expected_of(caller, permission):
                    wrong.append(f"{caller}: {method} {template}: {outcome}")
    figure(f"{name}: {len(table)} routes x {len(CALLERS)} callers = {cells} cells")
    assert wrong == []


def test_the_table_names_the_roles_of_the_demo_as_they_are() -> None:
    held: dict[str, set[str]] = {}
    for role in demo()["roles"]:
        for permission in role["permissions"]:
            held.setdefault(permission, set()).add(role["role"])
    wanted = {p: roles - {"system_bank"} for p, roles in MAY.items() if p != PUBLIC}
    assert held == {p: roles for p, roles in wanted.items() if roles}


def test_each_caller_of_the_table_holds_one_role_only() -> None:
    granted: dict[str, set[str]] = {}
    for grant in demo()["grants"]:
        granted.setdefault(grant["staff_id"], set()).add(grant["role"])
    assert {staff_id: granted[staff_id] for staff_id in STAFF.values()} == {
        staff_id: {role} for role, staff_id in STAFF.items()
    }


def test_a_service_with_a_route_that_anyone_may_call_does_not_start() -> None:
    stock = service_of("notify")
    inner = APIRouter()
    inner.get("/secrets")(lambda: "all of them")
    outer = APIRouter(prefix="/deep")
    outer.include_router(inner)
    open_service = Service("notify", {}, {}, (*stock.routers, outer), stock.metadata)
    runtime = Runtime(open_service, Settings(service="notify"))
    try:
        with pytest.raises(RuntimeError, match="/deep/secrets"):
            create_app(runtime)
    finally:
        runtime.close()
