"""What the metrics and the log say of a round."""

import structlog

from services.scoring.engine import Batch, Outcome
from services.scoring.metrics import (
    ALARMS,
    MESSAGES,
    RESTATED_ROWS,
    RESTATING,
    ROUNDS,
    STATE_ROWS,
    WATERMARK,
)

log = structlog.get_logger()


def count(topic: str, batches: list[Batch], outcomes: list[Outcome]) -> None:
    ROUNDS.inc()
    for batch, outcome in zip(batches, outcomes, strict=True):
        STATE_ROWS.inc(outcome.touched)
        WATERMARK.labels(str(batch.partition.number)).set(batch.partition.closes.watermark)
        for name, count in outcome.counts.items():
            if count:
                MESSAGES.labels(topic, name).inc(count)
        _raise_alarms(batch.partition.number, outcome)


def _raise_alarms(partition: int, outcome: Outcome) -> None:
    for alarm in outcome.alarms:
        ALARMS.labels(alarm.split(" ")[0]).inc()
        log.error("alarm", partition=partition, why=alarm)


def count_walked(partition: int, outcome: Outcome, seconds: float) -> None:
    _raise_alarms(partition, outcome)
    walked = outcome.walked
    assert walked is not None
    STATE_ROWS.inc(outcome.touched)
    RESTATED_ROWS.inc(outcome.touched)
    RESTATING.labels(str(partition)).set(walked.customers_left)
    said = walked._asdict()
    log.info(  # `number` in a log is a customer's, and masked
        "restating" if walked.customers_left else "restated", partition=partition,
        seconds=round(seconds, 3), restatement=said.pop("number"), **said,
    )  # fmt: skip
