"""The files under /assets: an explicit list, nothing else can be asked for.

Packages are installed, not committed (`python -m shared.web.install`). `asset_url("htmx.js")`
carries the hash of the content, so a browser keeps a file for ever and never sees an old one.
"""

import gzip
import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Path(os.environ.get("GUANXI_NODE_MODULES") or ROOT / "node_modules")
OWN = Path(__file__).resolve().parent / "static"
URL_PREFIX = "/assets"

_ICONS = "@tabler/icons-webfont/dist"
_BPMN = "bpmn-js/dist"
ASSETS: dict[str, Path] = {
    "guanxi.css": OWN / "guanxi.css",
    "guanxi.js": OWN / "guanxi.js",
    "theme.js": OWN / "theme.js",
    "contribution.js": OWN / "contribution.js",
    "process.js": OWN / "process.js",
    "process.css": OWN / "process.css",
    "favicon.svg": OWN / "favicon.svg",
    "tabler.css": PACKAGES / "@tabler/core/dist/css/tabler.min.css",
    "tabler.js": PACKAGES / "@tabler/core/dist/js/tabler.min.js",
    "icons/icons.css": PACKAGES / _ICONS / "tabler-icons.min.css",
    "icons/fonts/tabler-icons.woff2": PACKAGES / _ICONS / "fonts/tabler-icons.woff2",
    "htmx.js": PACKAGES / "htmx.org/dist/htmx.min.js",
    "echarts.js": PACKAGES / "echarts/dist/echarts.min.js",
    "bpmn-viewer.js": PACKAGES / _BPMN / "bpmn-navigated-viewer.production.min.js",
    "bpmn-js.css": PACKAGES / _BPMN / "assets/bpmn-js.css",
    "diagram-js.css": PACKAGES / _BPMN / "assets/diagram-js.css",
}
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
COMPRESSED = frozenset({".css", ".js", ".svg"})


class AssetMissing(RuntimeError):
    """A listed file is not on disk."""


@dataclass(frozen=True)
class Asset:
    """One file as it is sent."""

    body: bytes
    zipped: bytes | None
    version: str  # first 16 hex digits of the content's sha256
    media_type: str


@cache
def load(name: str) -> Asset:
    """Read once per process. Raises KeyError (not listed) or AssetMissing (not installed)."""
    path = ASSETS[name]
    try:
        body = path.read_bytes()
    except FileNotFoundError as error:
        raise AssetMissing(
            f"{path} is missing: install the front-end packages with `python -m shared.web.install`"
        ) from error
    zipped = gzip.compress(body, 6, mtime=0) if path.suffix in COMPRESSED else None
    version = hashlib.sha256(body).hexdigest()[:16]
    return Asset(body, zipped, version, MEDIA_TYPES[path.suffix])


def asset_url(name: str) -> str:
    """The address for a template; changes when the content does."""
    return f"{URL_PREFIX}/{name}?v={load(name).version}"


def missing() -> list[str]:
    """Listed files that are not on disk."""
    return [name for name, path in ASSETS.items() if not path.is_file()]


async def _serve(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in ASSETS:
        return Response("not found\n", 404, media_type="text/plain")
    asset = load(name)
    tag = f'"{asset.version}"'
    fresh = request.query_params.get("v") == asset.version
    headers = {
        "cache-control": "public, max-age=31536000, immutable" if fresh else "no-cache",
        "etag": tag,
        "vary": "accept-encoding",
        "x-content-type-options": "nosniff",
        "content-type": asset.media_type,
    }
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if asset.zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.zipped, headers=headers | {"content-encoding": "gzip"})
    return Response(asset.body, headers=headers)


# Mount at /assets: by the gateway, and by each service for itself when it runs alone.
assets_app = Starlette(routes=[Route("/{name:path}", _serve, methods=["GET", "HEAD"])])
