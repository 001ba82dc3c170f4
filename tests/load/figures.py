"""`python -m tests.load.figures`: the figures of the last bench as Markdown and as a picture."""

import json
import sys
from html import escape
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "figures"
WIDTH, ROW, LABEL = 860, 26, 330


def latencies(figures: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """name -> (p50, p99) in milliseconds, of whatever was measured as a spread."""
    found = {}
    for group, one in figures.items():
        for name, value in one.items():
            if isinstance(value, dict) and "p99_ms" in value:
                found[f"{group}: {name.replace('_', ' ')}"] = (value["p50_ms"], value["p99_ms"])
    return found


def flat(figures: dict[str, Any], path: str = "") -> list[tuple[str, Any]]:
    """Every number with its path."""
    found: list[tuple[str, Any]] = []
    for name, value in figures.items():
        if isinstance(value, dict):
            found += flat(value, f"{path}{name} / ")
        else:
            found.append((f"{path}{name}", value))
    return found


def markdown(figures: dict[str, Any]) -> str:
    lines = ["| figure | value |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {value} |" for name, value in flat(figures)]
    return "\n".join(lines) + "\n"


def picture(bars: dict[str, tuple[float, float]]) -> str:
    """Bars from 0 to p99, the dark part to p50: SVG without any other file."""
    longest = max((p99 for _, p99 in bars.values()), default=1.0) or 1.0
    scale = (WIDTH - LABEL - 150) / longest
    height = ROW * (len(bars) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
        ' font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for row, (name, (p50, p99)) in enumerate(bars.items()):
        y = ROW * row + 10
        parts += [
            f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LABEL}" y="{y}" width="{p99 * scale:.1f}" height="16" fill="#a9c7ee"/>',
            f'<rect x="{LABEL}" y="{y}" width="{p50 * scale:.1f}" height="16" fill="#206bc4"/>',
            f'<text x="{LABEL + p99 * scale + 6:.1f}" y="{y + 13}">'
            f"p50 {p50:.0f}, p99 {p99:.0f} ms</text>",
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> int:
    source = FOLDER / "bench.json"
    if not source.exists():
        print("there are no figures: run `make bench` first", file=sys.stderr)
        return 1
    figures = json.loads(source.read_text())
    (FOLDER / "bench.md").write_text(markdown(figures))
    (FOLDER / "latency.svg").write_text(picture(latencies(figures)))
    print(markdown(figures))
    print(f"{FOLDER / 'bench.md'} and latency.svg are written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
