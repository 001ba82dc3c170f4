"""`python -m deploy.gateway`: serve until stopped; streams are ended first."""

import asyncio
import logging
from types import FrameType

import structlog
import uvicorn

from deploy.gateway.app import Gateway
from deploy.gateway.settings import GatewaySettings


class StreamsFirst(uvicorn.Server):
    """A stream never ends by itself: told to stop, the gateway ends all, then the rest drains."""

    gateway: Gateway
    loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: "list[object] | None" = None) -> None:  # type: ignore[override]
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)  # type: ignore[arg-type]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.gateway.proxy.closing.set)
        super().handle_exit(sig, frame)


def main() -> None:
    settings = GatewaySettings()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.log_level.upper()]
        )
    )
    gateway = Gateway(settings)
    config = uvicorn.Config(
        gateway,
        host=settings.http_host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=15,
        h11_max_incomplete_event_size=65536,
    )
    server = StreamsFirst(config)
    server.gateway = gateway
    server.run()


if __name__ == "__main__":
    main()
