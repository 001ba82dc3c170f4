"""Every metric, one typed list. Durable figures are read from the database when scraped."""

from collections.abc import Callable, Iterator

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select, text

from shared import positions
from shared.db import Database, DeadLetterRow, OutboxRow

MESSAGES = Counter(
    "guanxi_messages_total", "Messages by topic and outcome, since the start", ["topic", "outcome"]
)
UNKNOWN = Counter(
    "guanxi_unknown_types_total",
    "Messages of a type that the catalogue does not have, since the start",
    ["topic", "type"],
)
SECONDS = Histogram(
    "guanxi_work_seconds",
    "Duration of one piece of work",
    ["work"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
LATENCY = Histogram(
    "guanxi_end_to_end_seconds",
    "From the broker's time of the root event to its effect here",
    ["topic"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
REQUESTS = Histogram(
    "guanxi_http_request_seconds",
    "HTTP requests by route and status",
    ["route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5),
)
LAG = Gauge("guanxi_consumer_lag", "Messages not yet applied", ["topic"])
# A label, so that a process that has no listener shows no series: its 0 would page somebody.
LISTENER_UP = Gauge(
    "guanxi_listener_up", "1 while the listener turns, 0 when it stopped for good", ["service"]
)
HOLES = Gauge("guanxi_holes", "Offsets never delivered to the scorer; must be 0", ["partition"])

UNKNOWN_TYPES_MAX = 100
_unknown_types: set[str] = set()


def count_unknown(topic: str, type_: str) -> None:
    """Types come from outside: only the first hundred have a line of their own."""
    name = type_[:100]
    if len(_unknown_types) < UNKNOWN_TYPES_MAX:
        _unknown_types.add(name)
    UNKNOWN.labels(topic, name if name in _unknown_types else "others").inc()


Extra = Callable[[Database], Iterator[Metric]]


class ServiceCollector(Collector):
    """Outbox, dead letters and the reconciliation equation, straight from the tables."""

    def __init__(self, database: Database, extra: Extra | None = None) -> None:
        self._database = database
        self._extra = extra

    def describe(self) -> list[Metric]:
        return []  # nothing is asked of the database at registration

    def collect(self) -> Iterator[Metric]:
        service = self._database.settings.service
        depth = GaugeMetricFamily("guanxi_outbox_depth", "Rows unsent", labels=["service"])
        age = GaugeMetricFamily("guanxi_outbox_oldest_age_seconds", "", labels=["service"])
        letters = GaugeMetricFamily(
            "guanxi_dead_letters", "Messages waiting for a decision", labels=["service", "kind"]
        )
        with self._database.read() as session:
            rows, oldest = session.execute(
                select(func.count(), func.min(OutboxRow.created_at)).select_from(OutboxRow)
            ).one()
            depth.add_metric([service], rows)
            now = self._database.clock.wall_now()
            age.add_metric([service], (now - oldest).total_seconds() if oldest else 0.0)
            counts = dict(
                session.execute(
                    select(DeadLetterRow.kind, func.count())
                    .where(DeadLetterRow.state.in_(("waiting", "replay")))
                    .group_by(DeadLetterRow.kind)
                ).all()
            )
            for kind in ("dead", "quarantined", "parked"):
                letters.add_metric([service, kind], counts.get(kind, 0))
            equation = positions.reconcile(session)
            duplicates = session.execute(
                text("select coalesce(sum(count), 0) from tallies where outcome = 'duplicate'")
            ).scalar_one()
        yield depth
        yield age
        yield letters
        yield from self._equation(service, equation)
        family = GaugeMetricFamily("guanxi_duplicates", "Repeats caught", labels=["service"])
        family.add_metric([service], float(duplicates))
        yield family
        if self._extra is not None:
            yield from self._extra(self._database)

    def _equation(self, service: str, equation: list[dict[str, int | str]]) -> Iterator[Metric]:
        outcome = GaugeMetricFamily(
            "guanxi_reconciliation", "Messages by outcome", labels=["service", "topic", "outcome"]
        )
        difference = GaugeMetricFamily(
            "guanxi_reconciliation_difference",
            "Acknowledged less the sum of outcomes; must be 0",
            labels=["service", "topic"],
        )
        for line in equation:
            topic = str(line["topic"])
            for name, value in line.items():
                if name not in ("topic", "difference"):
                    outcome.add_metric([service, topic, name], float(value))
            difference.add_metric([service, topic], float(line["difference"]))
        yield outcome
        yield difference
