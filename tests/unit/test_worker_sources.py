"""What a worker's metrics say of the bank's sources, over all of its partitions."""

from prometheus_client import REGISTRY

from services.scoring import model, watermark
from services.scoring.engine import Engine
from services.scoring.watermark import Source
from services.scoring.worker import _tell_sources

BEGINS = 10


def shown(name: str, source: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"source": source})


def engine_of(source: str, *closes_of_each: tuple[int, ...]) -> Engine:
    """A partition for each run of closes."""
    engine = Engine(model.load(), topic="bank.events", partitions=len(closes_of_each),
                    currency="CNY", zone="Asia/Shanghai")  # fmt: skip
    engine.describe(source, Source(closes_days=True, active_from=BEGINS))
    for number, days in enumerate(closes_of_each):
        for day in days:
            watermark.close(engine.partition(number).closes, engine.sources, source, day)
    return engine


def test_a_source_is_as_far_behind_as_in_the_partition_that_waits_most() -> None:
    _tell_sources(engine_of("uneven", (10, 11, 12), (10, 12, 13), (10, 12)), 14)
    assert shown("guanxi_source_days_behind", "uneven") == 4
    assert shown("guanxi_source_closes_held", "uneven") == 2
    _tell_sources(engine_of("uneven", (10, 11, 12), (10, 12, 13, 11), (10, 12, 11)), 14)
    assert shown("guanxi_source_days_behind", "uneven") == 2
    assert shown("guanxi_source_closes_held", "uneven") == 0


def test_a_source_that_is_known_has_its_count_of_alarms_before_the_first() -> None:
    """What is born above 0 rises by nothing."""
    name = "guanxi_worker_alarms_total"
    assert shown(name, "quiet") is None
    _tell_sources(engine_of("quiet", ()), BEGINS)
    assert shown(name, "quiet") == 0


def test_a_source_that_was_given_up_is_behind_no_more() -> None:
    given_up = engine_of("gone", (10, 11, 13))
    _tell_sources(given_up, 14)
    assert shown("guanxi_source_days_behind", "gone") == 3
    assert shown("guanxi_source_closes_held", "gone") == 1
    given_up.describe("gone", Source(closes_days=True, active_from=BEGINS, active_until=11))
    _tell_sources(given_up, 14)
    assert shown("guanxi_source_days_behind", "gone") is None
