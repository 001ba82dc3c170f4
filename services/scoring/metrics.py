"""The worker's metrics; those it shares with the services are `shared.metrics`."""

from prometheus_client import Counter, Gauge

from shared.metrics import HOLES, MESSAGES

__all__ = [
    "ALARMS",
    "ASSIGNED",
    "HOLES",
    "INPUTS_APART",
    "MESSAGES",
    "MONTH_LEFT",
    "POSITION",
    "REFERENCE_WAITS",
    "RESTATED_ROWS",
    "RESTATING",
    "REWINDS",
    "ROUNDS",
    "SOURCE_DAYS_BEHIND",
    "SOURCE_HELD",
    "STATE_ROWS",
    "WATERMARK",
]

REWINDS = Counter("guanxi_worker_rewinds_total", "Times that all partitions were put in place")
ROUNDS = Counter("guanxi_worker_rounds_total", "Batches of all partitions stepped and written")
STATE_ROWS = Counter(
    "guanxi_worker_state_rows_total", "Customers written; by events: scores per event"
)
POSITION = Gauge("guanxi_worker_position", "Last offset acknowledged", ["partition"])
WATERMARK = Gauge("guanxi_worker_watermark_days", "Day number of the watermark", ["partition"])
ASSIGNED = Gauge("guanxi_worker_partitions", "Partitions assigned to this worker")
ALARMS = Counter(
    "guanxi_worker_alarms_total",
    "Closes held by a gap, by source; restatements refused",
    ["source"],
)
for _kind in ("late_rules", "rules_refused", "restatement"):
    ALARMS.labels(_kind)  # shown as 0: the rise from nothing to 1 is none to Prometheus
SOURCE_DAYS_BEHIND = Gauge(
    "guanxi_source_days_behind",
    "Bank days over that a source has not closed, in the partition that is furthest behind",
    ["source"],
)
SOURCE_HELD = Gauge(
    "guanxi_source_closes_held",
    "Closes of a source that wait for a day before them, in the partition with most",
    ["source"],
)
REFERENCE_WAITS = Gauge(
    "guanxi_worker_reference_waits_seconds",
    "So long a round waits for an open transaction of Kafka; 0: none does",
    ["topic"],
)
INPUTS_APART = Counter(
    "guanxi_worker_inputs_apart_total", "Shares of inputs that wait: their events are elsewhere"
)
RESTATED_ROWS = Counter(
    "guanxi_worker_restated_customers_total", "Customers written anew by restatements of rates"
)
MONTH_LEFT = Gauge(
    "guanxi_worker_month_customers", "Customers that the close of a month has yet to walk",
    ["partition"],
)  # fmt: skip
RESTATING = Gauge(
    "guanxi_worker_restating_customers", "Customers that a running restatement has yet to walk",
    ["partition"],
)  # fmt: skip
