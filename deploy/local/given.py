"""Servers whose addresses the environment gives: asked once, before anything is started."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import redis
from kafka import KafkaAdminClient
from sqlalchemy import create_engine

from deploy.local.places import StackError, without_password

PATIENCE_S = 5


def refuse_unreachable(given: Mapping[str, str]) -> None:
    """Raises StackError with one sentence about the first that does not answer."""
    with ThreadPoolExecutor() as pool:
        answers = [pool.submit(_ASK[name], address) for name, address in given.items()]
    for (name, address), answer in zip(given.items(), answers, strict=True):
        error = answer.exception()
        if error is not None:
            why = str(error).strip().partition("\n")[0][:200]
            raise StackError(
                f"{name} from the environment, {without_password(address)}, does not answer: {why}"
            )


def _ask_kafka(address: str) -> None:
    KafkaAdminClient(
        bootstrap_servers=address.split(","), bootstrap_timeout_ms=PATIENCE_S * 1000
    ).close()


def _ask_database(address: str) -> None:
    engine = create_engine(address, connect_args={"connect_timeout": PATIENCE_S})
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def _ask_redis(address: str) -> None:
    with redis.Redis.from_url(
        address, socket_connect_timeout=PATIENCE_S, socket_timeout=PATIENCE_S
    ) as client:
        client.ping()


_ASK: dict[str, Callable[[str], None]] = {
    "GUANXI_KAFKA": _ask_kafka,
    "GUANXI_DATABASE": _ask_database,
    "GUANXI_REDIS": _ask_redis,
}
