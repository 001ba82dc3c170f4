"""What runs of the servers, in lines for a person."""

from typing import Any

from deploy.local.servers import runs


def server_lines(state: dict[str, Any]) -> list[str]:
    """One line a server: pid, memory, state."""
    import psutil  # type: ignore[import-untyped]

    lines = [f"{name}={address}" for name, address in state["environment"].items()]
    for name, (pid, began) in state["processes"].items():
        if not runs(pid, began):
            lines.append(f"{name}: process {pid} is gone")
            continue
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        memory = sum(part.memory_info().rss for part in family) >> 20
        lines.append(f"{name}: process {pid}, {memory} MB, {state['phase']}")
    return lines
