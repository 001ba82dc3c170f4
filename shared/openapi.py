"""The OpenAPI document of a service: its JSON API with the permission that each call asks for.

Pages are for browsers and change with the look, so they are left out unless asked for.
"""

import inspect
from typing import Any, Final, get_type_hints

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.routing import RouteContext

from shared.http import permission_of, routes_of

Schema = dict[str, Any]

PROBLEM: Final[Schema] = {
    "title": "Problem",
    "description": "Why a request was not done. Nothing of it was saved.",
    "type": "object",
    "properties": {
        "code": {"type": "string", "description": "The reason, for machines."},
        "message": {"type": "string", "description": "The reason, for people."},
        "correlation_id": {"type": "string", "description": "Finds the request in the logs."},
        "errors": {
            "description": "Every field that cannot be taken. `index`: which event of a batch.",
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string"},
                    "reason": {"type": "string"},
                    "index": {"type": "integer"},
                },
                "required": ["field", "reason"],
            },
        },
        "fields": {
            "description": "The first of `errors`, or all of them; kept for older callers.",
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
                "required": ["field"],
            },
        },
    },
    "required": ["code", "message", "correlation_id"],
}
PROBLEMS: Final[dict[str, str]] = {
    "401": "No token, or one that is not valid.",
    "403": "The permission is missing, the record is outside the data scope, or the amount is"
    " above the limit.",
    "404": "There is no such record.",
    "409": "Refused: a rule of the business says no. `code` names it.",
    "422": "Some values are not valid; `errors` names each.",
    "503": "A part is not available. Try again after `Retry-After` seconds.",
}


def openapi_of(app: FastAPI, *, pages: bool = False) -> Schema:
    """OpenAPI 3.1 of what `create_app` made."""
    schema = get_openapi(
        title=app.title,
        version=app.version,
        description="Generated from the routes; do not edit. The gateway serves these paths under"
        f" `/{app.title.rsplit(' ', 1)[-1]}`. The permission of a call is its scope.",
        routes=app.routes,
    )
    for route in routes_of(app):
        path: Schema = schema["paths"].get(route.path_format, {})
        for method in sorted(m.lower() for m in route.methods or ()):
            if is_page(route) and not pages:
                path.pop(method, None)
            elif method in path:
                _describe(path[method], route)
    schema["paths"] = {name: path for name, path in schema["paths"].items() if path}
    components = schema.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), "Problem": PROBLEM}
    components["responses"] = {f"Problem{code}": _problem(PROBLEMS[code]) for code in PROBLEMS}
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    _prune(schema)
    return schema


def is_page(route: RouteContext) -> bool:
    """A page, a fragment, or the form of one."""
    return ".pages" in _module_of(route) or _returns(route, HTMLResponse)


def _module_of(route: RouteContext) -> str:
    return str(getattr(route.endpoint, "__module__", ""))


def _returns(route: RouteContext, kind: type) -> bool:
    if route.endpoint is None:
        return False
    found = get_type_hints(route.endpoint).get("return")
    return inspect.isclass(found) and issubclass(found, kind)


def _describe(operation: Schema, route: RouteContext) -> None:
    operation["security"] = [{"bearer": [permission_of(route)]}]
    media_type = None
    if _returns(route, HTMLResponse):
        media_type = "text/html"
    elif _returns(route, StreamingResponse):
        media_type = "text/event-stream"
    for code, response in operation["responses"].items():
        if code.startswith("2") and media_type:
            response["content"] = {media_type: {"schema": {"type": "string"}}}
    for code in PROBLEMS:
        operation["responses"][code] = {"$ref": f"#/components/responses/Problem{code}"}


def _problem(description: str) -> Schema:
    content = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {"description": description, "content": {"application/problem+json": content}}


def _prune(schema: Schema) -> None:
    """Leaves out the schemas that nothing refers to any more."""
    schemas: Schema = schema["components"]["schemas"]
    wanted: set[str] = set()
    waiting = [schema["paths"], schema["components"]["responses"]]
    while waiting:
        for name in _referred(waiting.pop()) - wanted:
            wanted.add(name)
            waiting.append(schemas[name])
    schema["components"]["schemas"] = {name: schemas[name] for name in sorted(wanted)}


def _referred(part: Any) -> set[str]:
    if isinstance(part, list):
        return set().union(*(_referred(item) for item in part))
    if not isinstance(part, dict):
        return set()
    found = set().union(*(_referred(value) for value in part.values()))
    target = part.get("$ref")
    if isinstance(target, str) and target.startswith("#/components/schemas/"):
        found.add(target.rsplit("/", 1)[-1])
    return found
