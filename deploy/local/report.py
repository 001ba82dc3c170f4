"""What runs of the system or of its servers, in lines for a person."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from deploy.local.children import answers
from deploy.local.servers import runs


def lines(state: Mapping[str, Any]) -> Iterator[str]:
    """Addresses first, then one line a process that runs: pid and memory."""
    import psutil  # type: ignore[import-untyped]

    url = state.get("url")
    if url:
        port = urlsplit(url).port
        yield f"pages: {url}" if port and answers(port) else f"pages: {url} (starting)"
    for name, address in state.get("environment", {}).items():
        yield f"{name}={address}"
    for name, (pid, began) in state.get("processes", {}).items():
        if not runs(pid, began):
            yield f"{name}: process {pid} is gone"
            continue
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        memory = sum(part.memory_info().rss for part in family) >> 20
        yield f"{name}: process {pid}, {memory} MB"
