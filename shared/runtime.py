"""What a service is, and what one process of it holds."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import redis
from fastapi import APIRouter
from sqlalchemy import MetaData
from sqlalchemy.orm import Session

from shared import live
from shared.auth import TokenVerifier
from shared.clock import Clock
from shared.consumer import RECORDS_MAX, BatchHandler, Handler, Listener
from shared.db import Database
from shared.directory import HANDLERS as DIRECTORY_HANDLERS
from shared.directory import TOPIC as DIRECTORY_TOPIC
from shared.directory import Directory
from shared.events.envelope import Fact
from shared.forgetting import Aging
from shared.metrics import Extra
from shared.outbox import Line, Relay
from shared.positions import place, stored
from shared.settings import Settings
from shared.timers import TimerHandler
from shared.web.pages import Pages
from shared.wire import Broker, KafkaSource, Sender, Source

Job = Callable[["Runtime", threading.Event], None]


@dataclass(frozen=True, slots=True)
class OtherLetters:
    """Messages that another reader of the service refused: a page of them after an id, and how
    many wait."""

    listing: Callable[[Session, int, int], list[dict[str, Any]]]
    count: Callable[[Session], int]


@dataclass(frozen=True)
class Service:
    """The table of contents of a service."""

    name: str
    handlers: Mapping[type[Fact], Handler]
    timers: Mapping[str, TimerHandler]
    routers: tuple[APIRouter, ...]
    metadata: MetaData
    jobs: Mapping[str, Job] = field(default_factory=dict)  # extra threads of the listen role
    roles: Mapping[str, tuple[Job, str]] = field(default_factory=dict)  # of its own: work, help
    aging: tuple[Aging, ...] = ()  # rows of its own that grow old
    metrics: Extra | None = None
    batches: Mapping[str, BatchHandler] = field(default_factory=dict)  # private topics, not events
    records_max: int = RECORDS_MAX  # of one transaction of the listener
    states: tuple[str, ...] = ()  # of its batches, where only the last record of a key is done
    letters: OtherLetters | None = None
    worker_behind: Callable[["Runtime"], int] | None = None  # messages that its worker has to take
    lines: tuple[Line, ...] = ()  # of states that its relay tells

    def all_handlers(self) -> dict[type[Fact], Handler]:
        """Its own, and the staff directory's where it has none of its own for it."""
        return {**DIRECTORY_HANDLERS, **self.handlers}

    def topics(self) -> set[str]:
        return {fact.TOPIC for fact in self.all_handlers()} | set(self.batches)

    def template_folders(self) -> list[Path]:
        folder = Path(str(resources.files(f"services.{self.name}"))) / "pages" / "templates"
        return [folder] if folder.is_dir() else []


class Runtime:
    """One process of one service: the connections its roles share. Close it when done."""

    def __init__(self, service: Service, settings: Settings, clock: Clock | None = None) -> None:
        self.service = service
        self.settings = settings
        self.database = Database(settings, clock)
        self.database.fence = self.end_offsets
        self.database.push = lambda hints: live.publish(self.redis, settings, hints)
        self.clock = self.database.clock
        self.directory = Directory(self.database)
        self.stopped: str | None = None  # why the listener stopped for good
        self.behind: dict[str, int] = {}  # topic -> messages not applied, as last asked
        self.worker_behind: int | None = None  # of a service that has a worker, as last asked
        self.listener_beat: Callable[[], float] | None = None
        self.on_stop: list[Callable[[], None]] = []  # before requests are drained

    @cached_property
    def broker(self) -> Broker:
        return Broker(self.settings)

    @cached_property
    def redis(self) -> "redis.Redis":
        return redis.Redis.from_url(
            self.settings.redis, socket_timeout=2.0, socket_connect_timeout=2.0
        )

    @cached_property
    def verifier(self) -> TokenVerifier:
        return TokenVerifier(self.settings)

    @cached_property
    def pages(self) -> Pages:
        return Pages(
            self.service.template_folders(),
            zone=self.settings.zone,
            currency=self.settings.currency,
        )

    def source(self, group: str | None = None) -> Source:
        return KafkaSource(
            self.settings,
            group or self.service.name,
            self.service.topics(),
            lambda spans: place(self.database, spans),
            self.service.states,
        )

    def listener(self, source: Source | None = None) -> Listener:
        return Listener(
            self.database,
            source or self.source(),
            self.service.all_handlers(),
            self.service.timers,
            self.service.batches,
            records_max=self.service.records_max,
        )

    def relay(self) -> Relay:
        return Relay(self.database, lambda: Sender(self.settings), self.service.lines)

    def end_offsets(self, topic: str) -> dict[int, int]:
        """What every partition of a topic holds at this moment."""
        return self.broker.end_offsets(topic)

    def count_behind(self) -> dict[str, int]:
        """Messages on each topic that the service hears which it has not applied."""
        found = {}
        for topic in sorted(self.service.topics()):
            ends = self.broker.end_offsets(topic)
            with self.database.read() as session:
                at = stored(session, topic)
            found[topic] = sum(max(end - at.get(part, 0), 0) for part, end in ends.items())
        return found

    def learn_directory_end(self) -> None:
        """How far the staff directory reaches now; until the copy is there, all is denied."""
        ends = self.broker.end_offsets(DIRECTORY_TOPIC)
        self.directory.must_reach = ends.get(0, 0)

    def close(self) -> None:
        if "broker" in self.__dict__:
            self.broker.close()
        if "redis" in self.__dict__:
            self.redis.close()
        self.database.close()
