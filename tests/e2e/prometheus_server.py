"""A real Prometheus that scrapes the running system as deploy/prometheus says, on moved ports."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from deploy.local.children import free_port

CONFIG = Path(__file__).parents[2] / "deploy" / "prometheus" / "prometheus.yml"


def alarms() -> list[dict[str, str]]:
    groups = yaml.safe_load(CONFIG.with_name("rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@contextmanager
def scraping(binary: str, folder: Path, port_shift: int) -> Iterator[str]:
    """The address of a server that scrapes every second; stopped at the end."""
    text = re.sub(
        r"127\.0\.0\.1:(\d+)",
        lambda found: f"127.0.0.1:{int(found[1]) + port_shift}",
        CONFIG.read_text(),
    )
    config = folder / "prometheus.yml"
    config.write_text(
        text.replace("_interval: 5s", "_interval: 1s").replace("rule_files: [rules.yml]\n", "")
    )
    port = free_port()
    with (folder / "prometheus.log").open("w") as said:
        server = subprocess.Popen(
            [
                binary, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=said, stderr=said,
        )  # fmt: skip
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(60)


def answers(url: str, query: str) -> list[float]:
    """The values of an instant query; none while the server is not up yet."""
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": query}, timeout=30)
    except httpx.TransportError:
        return []
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return []
    assert answer.status_code == httpx.codes.OK, answer.text
    return [float(series["value"][1]) for series in answer.json()["data"]["result"]]
