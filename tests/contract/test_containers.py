"""compose.yaml, Dockerfile and the realm: checked without an engine, against what they start."""

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.gateway.settings import GatewaySettings
from services.notify.settings import ChannelSettings
from shared.health import PUBLIC

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: s for name, s in SERVICES.items() if s["image"].startswith("guanxi:")}
FIVE = ("customer", "orders", "workflow", "scoring", "notify")
SERVERS = {"kafka", "postgres", "redis", "sign-in"}
ONE_SHOT = {"topics", *(f"migrate-{name}" for name in FIVE)}
KEYS_ALLOWED = {
    *("image", "build", "restart", "read_only", "tmpfs", "cap_drop", "security_opt"),
    *("stop_grace_period", "command", "environment", "depends_on", "healthcheck", "volumes"),
    *("networks", "ports"),
}


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    else:
        yield str(node)


def test_the_composition_is_the_system_and_nothing_else():
    ours = {*FIVE, "scoring-worker", "scoring-rehearser", "gateway"}
    assert set(SERVICES) == ours | SERVERS | ONE_SHOT
    assert set(OURS) == set(SERVICES) - SERVERS
    assert len({s["image"] for s in OURS.values()}) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_only_keys_that_compose_knows(name: str):
    assert set(SERVICES[name]) <= KEYS_ALLOWED


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_dependencies_exist(name: str):
    image = SERVICES[name]["image"]
    assert ":" in image
    assert not image.endswith(":latest")
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        condition = how["condition"]
        assert needed in SERVICES
        if condition == "service_healthy":
            assert SERVICES[needed].get("healthcheck"), f"{needed} has no health check"
        if condition == "service_completed_successfully":
            assert needed in ONE_SHOT


@pytest.mark.parametrize("name", OURS)
def test_our_containers_start_modules_that_exist_with_settings_that_exist(name: str):
    module, *_ = OURS[name]["command"]
    assert find_spec(module) is not None
    if module.startswith(("services.", "deploy.gateway")):
        assert (ROOT / module.replace(".", "/") / "__main__.py").exists()
    own = set(ChannelSettings.model_fields) if name == "notify" else set()
    known = {f"GUANXI_{field.upper()}" for field in own | set(GatewaySettings.model_fields)}
    assert set(OURS[name].get("environment", {})) <= known


def test_every_process_that_stays_is_asked_for_its_health_on_the_port_it_serves():
    for name, service in OURS.items():
        if name in ONE_SHOT:
            continue
        asked = re.search(r"127\.0\.0\.1:(\d+)(/[a-z/]+)", service["healthcheck"]["test"][-1])
        assert asked, name
        assert asked[1] == service["environment"]["GUANXI_HTTP_PORT"], name
        assert asked[2] in PUBLIC, name


def test_no_secret_has_a_default_and_each_is_in_the_example():
    used = set()
    for text in texts(COMPOSE):
        for name, rest in re.findall(r"\$\{([A-Z_]+)([^}]*)\}", text):
            if re.search("PASSWORD|SECRET|KEY", name):
                assert rest.startswith(":?"), f"{name} must be refused when it is missing"
                used.add(name)
    lines = (ROOT / "deploy/compose.env.example").read_text().splitlines()
    assert {line for line in lines if not line.startswith("#")} == {f"{name}=" for name in used}


def test_only_the_gateway_and_the_sign_in_are_reached_from_outside_and_from_this_machine_only():
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    assert set(published) == {"gateway", "sign-in"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_only_migrations_know_the_administrator_of_the_database():
    for name, service in OURS.items():
        knows = "POSTGRES_PASSWORD" in service.get("environment", {}).get("GUANXI_DATABASE", "")
        assert knows == name.startswith("migrate-"), name


def test_our_containers_run_without_privileges():
    for service in OURS.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
    users = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)
    assert users == ["guanxi"]


def test_the_image_is_made_of_files_that_exist_and_packages_with_hashes():
    for sources in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE.replace("\\\n", ""), re.M):
        for source in sources.split()[:-1]:
            assert (ROOT / source).exists(), source
    assert "--require-hashes" in DOCKERFILE
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.M) == [
        "python:3.11-slim-bookworm", "node:24-bookworm-slim", "python:3.11-slim-bookworm",
    ]  # fmt: skip
    lock = (ROOT / "requirements.lock").read_text()
    image_lock = (ROOT / "requirements-image.lock").read_text()
    pins = set(re.findall(r"^\S+==[^\s;]+", image_lock, re.M))
    assert len(pins) > 50
    assert pins <= set(re.findall(r"^\S+==[^\s;]+", lock, re.M))


def test_the_realm_signs_what_our_verifier_takes():
    realm = json.loads((ROOT / "deploy/keycloak/guanxi-realm.json").read_text())
    clients = {client["clientId"]: client for client in realm["clients"]}
    assert set(clients) == {"guanxi-gateway", "bank-core"}
    for client in clients.values():
        assert client["attributes"]["access.token.signed.response.alg"] == "ES256"
        assert re.fullmatch(r"\$\{[A-Z_]+\}", client["secret"])
        claims = {m["config"].get("claim.name") for m in client["protocolMappers"]}
        assert {"sub", "kind"} <= claims
        audiences = [m["config"].get("included.custom.audience") for m in client["protocolMappers"]]
        assert "guanxi" in audiences
    assert clients["guanxi-gateway"]["attributes"]["pkce.code.challenge.method"] == "S256"
    issuer = SERVICES["gateway"]["environment"]["GUANXI_ISSUER"]
    hostname = SERVICES["sign-in"]["environment"]["KC_HOSTNAME"]
    assert issuer == f"{hostname}/realms/{realm['realm']}"
