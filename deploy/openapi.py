"""`python -m deploy.openapi`: writes docs/openapi/<service>.json from the routes of each service.

With `--check` it only says whether they are current.
"""

import importlib
import json
import sys
from pathlib import Path

from fastapi import FastAPI

from shared.http import create_app
from shared.runtime import Runtime, Service
from shared.settings import Settings

DOCS = Path(__file__).resolve().parents[1] / "docs" / "openapi"
SERVICES = ("customer", "orders", "workflow", "scoring", "notify")


def app_of(name: str) -> FastAPI:
    """The app of one service; opens no connection."""
    service: Service = importlib.import_module(f"services.{name}.__main__").SERVICE
    return create_app(Runtime(service, Settings(service=name)))


def document(app: FastAPI) -> str:
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    texts = {DOCS / f"{name}.json": document(app_of(name)) for name in SERVICES}
    stale = [
        path
        for path, text in texts.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in arguments:
        for path in stale:
            print(f"docs/openapi/{path.name} is not what the routes say: make catalogue")
        return 1 if stale else 0
    DOCS.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(texts[path], encoding="utf-8")
    print(f"docs/openapi: {len(texts)} services, {len(stale)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
