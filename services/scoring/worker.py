"""The Faust app of the scorer: one agent on `bank.events` and `scoring.inputs`, one table on
`scoring.state`. Equal partition counts of the three keep a customer's on one worker."""

import asyncio
import gc
import logging
import time
from typing import Any

import faust
import structlog
from faust import web
from faust.types import TP
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.scoring import inputs, model, risk_plan, warm, watermark
from services.scoring.driver import TOPIC, Driver
from services.scoring.engine import Engine
from services.scoring.membership import Membership
from services.scoring.metrics import ALARMS, ASSIGNED, SOURCE_DAYS_BEHIND, SOURCE_HELD
from services.scoring.reference_reader import ReferenceReader
from services.scoring.risk_plan import Plan
from services.scoring.seen import EventStore, KeepsAll, SeenBefore
from services.scoring.table import ColumnTable, die
from services.scoring.told import Totals
from services.scoring.transport import BatchApp, BatchSchema, PartitionWriter
from services.scoring.worker_settings import GROUP, WorkerSettings
from shared import logs
from shared.clock import business_date, clock_of
from shared.db import Database
from shared.wire import Broker

log = structlog.get_logger()
WRITTEN = ("scoring.state", "scoring.leaves", "scoring.signals", "scoring.totals", "scoring.dead")
_CANONICAL_PORT = 6066  # part of a name only; must not change between starts


class ScorerApp(BatchApp):
    """Faust, the engine and what carries batches between them."""

    settings: WorkerSettings
    engine: Engine
    reference: ReferenceReader
    driver: Driver
    told: dict[int, Totals]  # by partition, as it was when its state was recovered


def create_app(settings: WorkerSettings, partitions: int, plan: Plan) -> ScorerApp:
    """The app of one worker. Nothing is connected before it is started."""
    app = ScorerApp(
        settings.topic_prefix + GROUP,
        broker=[f"aiokafka://{address}" for address in settings.kafka.split(",")],
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=partitions,
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.worker_instance,
        canonical_url=f"http://{settings.worker_instance}:{_CANONICAL_PORT}",
        broker_session_timeout=min(settings.session_timeout_s, 10.0),
        broker_heartbeat_interval=min(settings.session_timeout_s, 10.0) * 0.3,
        broker_commit_interval=settings.worker_commit_s,
        broker_max_poll_records=settings.worker_records_max,
        consumer_max_fetch_size=4 << 20,
        producer_max_batch_size=900_000,
        producer_linger=0.0,
        stream_buffer_maxsize=64,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        web_enabled=True,
        web_bind=settings.http_host,
        web_host=settings.http_host,
        web_port=settings.http_port or _free_port(settings.http_host),
        cython_optimizations=True,
    )
    app.membership = Membership(app.conf.broker_session_timeout, die)
    app.settings, app.told = settings, {}
    app.engine = Engine(
        model.load(), topic=TOPIC, partitions=partitions, currency=settings.currency,
        zone=settings.bank_time_zone, plan=plan,
    )  # fmt: skip
    clock = clock_of(settings.clock_file, settings.zone)
    app.reference = ReferenceReader(settings, app.engine, clock)
    _add_table(app, partitions)
    _add_agent(app)
    _add_pages(app)
    return app


def _add_table(app: ScorerApp, partitions: int) -> None:
    changelog = app.topic(
        app.settings.topic("scoring.state"), schema=BatchSchema(), partitions=partitions,
        acks=False, internal=False, compacting=True, allow_empty=True, maxsize=64,
    )  # fmt: skip
    app.tables.add(
        ColumnTable(
            app, engine=app.engine, name="state", partitions=partitions, schema=BatchSchema(),
            key_type=bytes, value_type=bytes, changelog_topic=changelog,
            recovery_buffer_size=2,  # batches; 1 would keep the changelog fetched for ever
        )
    )  # fmt: skip


def _add_agent(app: ScorerApp) -> None:
    settings = app.settings
    seen: SeenBefore = EventStore(Database(settings)) if settings.worker_event_store else KeepsAll()
    events = settings.topic(TOPIC)
    topic = app.topic(events, settings.topic(inputs.TOPIC), schema=BatchSchema(), acks=True)

    @app.agent(topic, name="scorer")  # type: ignore[untyped-decorator]
    async def scorer(stream: Any) -> None:
        app.driver = Driver(
            app.engine,
            seen,
            clock_of(settings.clock_file, settings.zone),
            generation=lambda: app.consumer_generation_id,
            writers={t: PartitionWriter(app, settings.topic(t)) for t in WRITTEN},
            catch_up=app.reference.catch_up_with_acknowledged,
            fatal=die,
            delivered=app.consumer.holes.note,
            has_events=lambda partition: TP(events, partition) in app.consumer.assignment(),
            events_topic=events,
            inputs_topic=settings.topic(inputs.TOPIC),
            waiting_max=2 * settings.worker_records_max,
            told=app.told,
        )
        app.consumer.before_leaving = app.driver.before_leaving
        app.consumer.when_open = app.driver.resume
        rounds = asyncio.create_task(app.driver.run(), name="rounds")
        try:
            await app.reference.catch_up()
            async for event in stream.noack().events():
                await app.driver.take(event)
        finally:
            rounds.cancel()
            await app.reference.close()


def _add_pages(app: ScorerApp) -> None:
    alive_at = time.monotonic()
    clock = clock_of(app.settings.clock_file, app.settings.zone)

    @app.page("/health/live", name="live")  # type: ignore[untyped-decorator]
    async def live(view: web.View, request: Any) -> Any:
        nonlocal alive_at
        assigned = _assigned(app)
        if assigned and not (app.rebalancing or app.in_recovery):
            alive_at = time.monotonic()
        alive = time.monotonic() - alive_at < app.settings.worker_grace_s
        return view.json({"live": alive, "partitions": assigned}, status=200 if alive else 503)

    @app.page("/health/ready", name="ready")  # type: ignore[untyped-decorator]
    async def ready(view: web.View, request: Any) -> Any:
        assigned = _assigned(app)
        is_ready = assigned > 0 and not app.rebalancing and not app.in_recovery
        return view.json({"ready": is_ready, "partitions": assigned},
                         status=200 if is_ready else 503)  # fmt: skip

    @app.page("/metrics", name="metrics")  # type: ignore[untyped-decorator]
    async def metrics(view: web.View, request: Any) -> Any:
        ASSIGNED.set(_assigned(app))
        today = business_date(clock.bank_now(), clock.zone)
        _tell_sources(app.engine, today.toordinal() - 1)
        return view.bytes(generate_latest(), content_type=CONTENT_TYPE_LATEST.split(";")[0])


def _tell_sources(engine: Engine, yesterday: int) -> None:
    """Asked for when scraped: a source that stalls sends nothing that would be counted."""
    all_closes = [partition.closes for partition in engine.partitions.values()]
    behind = [watermark.stalled(closes, engine.sources, yesterday) for closes in all_closes]
    for gauge, found in (
        (SOURCE_DAYS_BEHIND, behind),
        (SOURCE_HELD, [watermark.held(closes, engine.sources) for closes in all_closes]),
    ):
        gauge.clear()  # who has closed his last day is behind no more
        for source in set().union(*found):
            gauge.labels(source).set(max(one.get(source, 0) for one in found))
    for source in engine.sources:
        ALARMS.labels(source)  # shown as 0: the rise from nothing to 1 is none to Prometheus


def _assigned(app: ScorerApp) -> int:
    topic = app.settings.topic(TOPIC)
    try:
        return sum(tp.topic == topic for tp in app.consumer.assignment())
    except faust.exceptions.NotReady:
        return 0


def _free_port(host: str) -> int:
    import socket

    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def run() -> None:
    """Runs the worker until it is told to stop. Kernels are compiled before the group is joined."""
    settings = WorkerSettings()
    logs.configure("scoring-worker", settings.log_level, as_json=settings.log_json)
    try:
        plan = risk_plan.read(settings.risk_model)
    except risk_plan.ModelRefused as error:
        die(str(error))
    log.info("rules_of_risk", model=plan.version or "none: the two small rules only",
             products=sorted(plan.products))  # fmt: skip
    seconds = warm.compile_kernels(plan)
    log.info("kernels_ready", seconds=round(seconds, 2))
    broker = Broker(settings)
    partitions = len(broker.partitions(TOPIC))
    beside = len(broker.partitions(inputs.TOPIC))
    broker.close()
    if beside != partitions:
        die(f"{inputs.TOPIC} has {beside} partitions, {TOPIC} {partitions}: they must be equal")
    gc.set_threshold(200_000, 20, 100)
    app = create_app(settings, partitions, plan)
    worker = faust.Worker(app, loglevel=logging.INFO, quiet=True, console_port=0)
    worker.execute_from_commandline()
