"""What ops are given: rules that fire as they say, a dashboard that names real metrics."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.local import prometheus
from deploy.local.system import REHEARSER_PORT, SERVICES, WORKER_PORT

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "guanxi.json"
RUNBOOK = ROOT / "docs" / "runbook.md"
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"


def named_in_code() -> set[str]:
    """Every metric that a service can export."""
    found: set[str] = set()
    for folder in ("shared", "services"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= set(re.findall(r'"(guanxi_[a-z_]+)"', path.read_text()))
    return found


def metrics_of(text: str) -> set[str]:
    names = set(re.findall(r"guanxi_[a-z_]+", text))
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}


def test_the_dashboard_and_the_rules_name_only_metrics_that_exist():
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    assert len(queries) >= 12
    wanted = metrics_of("\n".join(queries)) | metrics_of(RULES.read_text())
    assert wanted - named_in_code() == set()


def test_prometheus_scrapes_every_process_of_the_local_stack_that_has_metrics():
    jobs = yaml.safe_load((RULES.parent / "prometheus.yml").read_text())["scrape_configs"]
    targets = [t for job in jobs for one in job["static_configs"] for t in one["targets"]]
    ports = (*SERVICES.values(), WORKER_PORT, REHEARSER_PORT)
    assert targets == [f"127.0.0.1:{port}" for port in ports]


def test_the_runbook_has_a_section_for_every_alarm():
    """Its heading names them, so that one who is paged finds it by the name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    alarms = [rule["alert"] for group in groups for rule in group["rules"]]
    headings = re.findall(r"^## .*\((.*)\)$", RUNBOOK.read_text(), re.MULTILINE)
    named = [name for heading in headings for name in heading.split(", ")]
    assert sorted(named) == sorted(alarms)


def test_every_command_to_kafka_in_the_runbook_says_where_it_is():
    """Its tools know no default: without it they print their usage."""
    tools = re.findall(r"kafka-[a-z-]+\.sh\s+(\S+)", RUNBOOK.read_text())
    assert len(tools) >= 4
    assert set(tools) == {"--bootstrap-server"}


def test_the_rules_fire_and_stay_quiet_as_their_tests_say():
    promtool = prometheus.find("promtool")
    if promtool is None:
        pytest.skip(prometheus.MISSING)
    for arguments in (["check", "config", "prometheus.yml"], ["test", "rules", "rules_test.yml"]):
        done = subprocess.run(
            [promtool, *arguments], cwd=RULES.parent, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
