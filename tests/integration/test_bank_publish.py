"""The publisher on a real broker: resumable, in order, every partition told of a day's close."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import Future
from datetime import date, timedelta
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest
from structlog.testing import capture_logs

from deploy.bank import live
from deploy.bank.publish import StateFile, Unpublishable, publish
from deploy.bank.publisher import NotDelivered, Publisher, Unreachable, kafka_publisher
from deploy.bank.simulation import Bank, Plan
from shared.events import Event, decode, encode
from shared.events.bank import DayClosed, TransactionBooked
from shared.ids import order_reference, partition_of
from shared.testing.bus import FakeBus, FakeSender
from shared.testing.space import Space

PLAN = Plan(customers=30, days=12, seed=3)
ROOT = Path(__file__).parents[2]
TOPICS = ("bank.reference", "bank.customers", "bank.events")
PARTITIONS = {"bank.events": 4, "bank.customers": 2, "bank.reference": 1}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bank") / "history.jsonl"
    with file.open("wb") as out:
        for events in Bank(PLAN).history():
            out.writelines(encode(e) + b"\n" for e in events)
    return file


def command(space: Space, *arguments: str, **more: Any) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "GUANXI_KAFKA": space.servers.kafka,
        "GUANXI_TOPIC_PREFIX": space.prefix,
        **more,
    }
    argv = [sys.executable, "-m", "deploy.bank", *arguments]
    return subprocess.Popen(
        argv, cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def without_repeats(events: list[Event[Any]]) -> list[Event[Any]]:
    """As a reader keeps them: the first of each identity."""
    return list({(e.source, e.id): e for e in reversed(events)}.values())[::-1]


def published(space: Space) -> dict[str, list[Event[Any]]]:
    return {topic: space.read(topic) for topic in TOPICS}


def assert_complete(file: Path, found: dict[str, list[Event[Any]]], partitions: int) -> None:
    """Every line is on its topic once, in order of its key; each close once per partition."""
    lines = [decode(line) for line in file.read_bytes().splitlines()]
    by_key: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for event in lines:
        if not isinstance(event.data, DayClosed):
            by_key[type(event.data).TOPIC, event.subject].append(event.id)
    seen: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    closes: defaultdict[date, list[int | None]] = defaultdict(list)
    for topic, events in found.items():
        for event in without_repeats(events):
            if isinstance(event.data, DayClosed):
                closes[event.data.day].append(event.data.partition)
            else:
                seen[topic, event.subject].append(event.id)
    assert seen == by_key
    assert {day: sorted(parts, key=str) for day, parts in closes.items()} == {
        PLAN.first_on + timedelta(days=n): list(range(partitions)) for n in range(PLAN.days)
    }


def test_a_file_reaches_its_topics_and_each_close_follows_its_day(
    space: Space, history: Path
) -> None:
    run = command(space, "publish", str(history))
    _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said
    found = published(space)
    assert_complete(history, found, 4)
    closed: dict[int, date] = {}
    for event in found["bank.events"]:
        partition = (
            event.data.partition
            if isinstance(event.data, DayClosed)
            else partition_of(event.subject, 4)
        )
        if isinstance(event.data, DayClosed):
            closed[partition] = event.data.day
            assert event.id == f"close-core-banking-{event.data.day}-{partition}"
        elif partition in closed:
            assert event.businessdate > closed[partition]


def test_a_second_run_publishes_nothing_and_a_new_topic_everything(
    space: Space, history: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    for _ in range(2):
        run = command(space, "publish", str(history), "--state", str(state))
        _, said = run.communicate(timeout=60)
        assert run.returncode == 0, said
    lines = history.read_bytes().count(b"\n")
    total = sum(len(events) for events in published(space).values())
    assert total == lines + PLAN.days * 3  # each close four times
    mark = json.loads(state.read_text())
    assert (mark["offset_bytes"], mark["events"]) == (history.stat().st_size, lines)
    mark["topic_id"] = "of a topic that was deleted"
    state.write_text(json.dumps(mark))
    run = command(space, "publish", str(history), "--state", str(state))
    run.communicate(timeout=60)
    assert sum(len(events) for events in published(space).values()) == 2 * total


def test_killed_in_the_middle_and_started_again_nothing_is_missing(
    space: Space, history: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    arguments = ("publish", str(history), "--state", str(state))
    run = command(space, *arguments, "--rate", "400")
    deadline = time.monotonic() + 120
    while not state.exists() or json.loads(state.read_text())["events"] < 300:
        assert time.monotonic() < deadline
        assert run.poll() is None
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)
    at = json.loads(state.read_text())["offset_bytes"]
    assert 0 < at < history.stat().st_size
    again = command(space, *arguments)
    _, said = again.communicate(timeout=60)
    assert again.returncode == 0, said
    assert_complete(history, published(space), 4)


def test_standard_input_is_read_up_to_the_mark(history: Path, tmp_path: Path) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    whole = history.read_bytes()
    state = StateFile(tmp_path / "state.json")
    bus, stop = FakeBus(dict(PARTITIONS)), Flag()
    first = Publisher(bus.sender(), 4, 5)
    publish(Pipe(whole[: whole.rindex(b"\n", 0, len(whole) // 2) + 1]), first, state, "t")
    publish(Pipe(whole), Publisher(bus.sender(), 4, 5), state, "t", stop=stop)
    sent = [r.value for log in bus.logs.values() for r in log]
    events = [decode(value) for value in sent if value]
    expected = whole.count(b"\n") + PLAN.days * 3
    assert len({(e.source, e.id) for e in events}) == expected


def test_a_bad_line_stops_the_file_and_what_stood_before_it_is_published(tmp_path: Path) -> None:
    good = [encode(e) for e in next(Bank(PLAN).history())[:3]]
    stream = io.BytesIO(b"\n".join([*good, b'{"type": "bank.went_live.v1"}']) + b"\n")
    bus, state = FakeBus(dict(PARTITIONS)), StateFile(tmp_path / "state.json")
    with pytest.raises(Unpublishable, match=r"byte \d+: .*missing"):
        publish(stream, Publisher(bus.sender(), 4, 5), state, "t")
    mark = state.read()
    assert mark is not None
    assert (mark.events, mark.offset_bytes) == (3, sum(len(line) + 1 for line in good))
    assert sum(len(log) for log in bus.logs.values()) == 3


def test_a_refused_event_stops_before_its_days_close_and_leaves_the_mark(
    history: Path, tmp_path: Path
) -> None:
    refused = next(e for line in history.read_bytes().splitlines()
                   if isinstance((e := decode(line)).data, TransactionBooked))  # fmt: skip
    bus, state = FakeBus(dict(PARTITIONS)), StateFile(tmp_path / "state.json")
    bus.refuse_keys = {refused.subject.encode()}
    with pytest.raises(NotDelivered):
        publish(io.BytesIO(history.read_bytes()), Publisher(bus.sender(), 4, 5), state, "t")
    closes = [r for log in bus.logs.values() for r in log if b"day_closed" in (r.value or b"")]
    assert closes == []
    bus.refuse_keys = set()
    publish(io.BytesIO(history.read_bytes()), Publisher(bus.sender(), 4, 5), state, "t")
    events = [decode(r.value) for log in bus.logs.values() for r in log if r.value]
    assert refused.id in {e.id for e in events}


class Stopper(FakeSender):
    """Asks for the end after so many records, as a signal would."""

    def __init__(self, bus: FakeBus, stop: Flag, after: int) -> None:
        super().__init__(bus)
        self._stop, self._left = stop, after

    def send(
        self, topic: str, key: bytes | None, value: bytes, partition: int | None = None
    ) -> Any:
        self._left -= 1
        if self._left == 0:
            self._stop.set()
        return super().send(topic, key, value, partition)


def test_live_goes_on_where_it_stopped_with_no_event_left_out_or_repeated(tmp_path: Path) -> None:
    state, last = tmp_path / "live.json", PLAN.live_on + timedelta(days=2)
    bus = FakeBus(dict(PARTITIONS))
    for after in (5, 17, 40, 10_000):
        stop = Flag()
        publisher = Publisher(Stopper(bus, stop, after), 4, 5)
        live.run(PLAN, publisher, state, lambda: "t", speed=1e9, until=last, stop=stop)
    values = [r.value for log in bus.logs.values() for r in log if r.value]
    events = [decode(value) for value in values]
    expected = [e.id for on, day in days_until(last) for e in day if on > PLAN.until]
    found = [e.id for e in events if not isinstance(e.data, DayClosed)]
    assert sorted(found) == sorted(i for i in expected if not i.startswith("close-"))
    assert len([e for e in events if isinstance(e.data, DayClosed)]) == 3 * 4


class Breaking(FakeSender):
    """The broker goes away in the midst of what is sent together."""

    def send(
        self, topic: str, key: bytes | None, value: bytes, partition: int | None = None
    ) -> Any:
        self._bus.down |= len(self._bus.logs["bank.events", 0]) == 3
        return super().send(topic, key, value, partition)


def outage(bus: FakeBus, then: str) -> Any:
    """What the topic's id is asked: nobody answers twice, then the broker is back, with the topic
    of this id."""
    answers: list[Any] = ["t", None, None, then]

    def topic_now() -> str:
        answer = answers.pop(0)
        if answer is None:
            raise Unreachable("bank.events") from ConnectionError("away")
        if not answers:
            bus.down = False
            bus.append("bank.events", b"x", None, 0)  # no more the moment at which it breaks
        return str(answer)

    return topic_now


def test_live_waits_while_the_broker_is_away_and_goes_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PAUSE_MIN_S", 0.01)
    bus = FakeBus(dict(PARTITIONS))
    publisher, state = Publisher(Breaking(bus), 4, 5), tmp_path / "live.json"
    with capture_logs() as told:
        live.run(PLAN, publisher, state, outage(bus, "t"), speed=1e9, until=PLAN.live_on)
    assert [one["event"] for one in told] == ["bank_waits"] * 3 + ["bank_goes_on"]
    events = [decode(r.value) for log in bus.logs.values() for r in log if r.value]
    found = [e.id for e in events if not isinstance(e.data, DayClosed)]
    expected = [e.id for on, day in days_until(PLAN.live_on) for e in day if on == PLAN.live_on]
    assert len(found) > len(set(found)), "some were sent twice, under the same ids"
    assert set(found) == {i for i in expected if not i.startswith("close-")}


def test_live_ends_for_what_no_waiting_mends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PAUSE_MIN_S", 0.01)
    bus = FakeBus(dict(PARTITIONS))
    publisher, state = Publisher(Breaking(bus), 4, 5), tmp_path / "live.json"
    with pytest.raises(live.TopicMadeAnew):
        live.run(PLAN, publisher, state, outage(bus, "u"), speed=1e9, until=PLAN.live_on)

    class Refusing(FakeSender):
        def send(self, *_: Any, **__: Any) -> Any:
            report: Any = Future()
            report.set_exception(ValueError("too large"))
            return report

    with pytest.raises(NotDelivered, match="too large"):
        live.run(PLAN, Publisher(Refusing(bus), 4, 5), state, lambda: "t", speed=1e9)


def days_until(last: date) -> list[tuple[date, list[Event[Any]]]]:
    found = []
    for on, events in Bank(PLAN).days():
        if on > last:
            return found
        found.append((on, events))
    raise AssertionError("the days are endless")


def test_live_follows_the_clock_file_and_ends_when_asked(space: Space, tmp_path: Path) -> None:
    clock = tmp_path / "clock.json"
    origin = f"{PLAN.live_on}T09:00:00+08:00"
    clock.write_text(json.dumps({"origin": origin, "since": origin, "factor": 0.0}))
    run = command(
        space, "live", "--state", str(tmp_path / "live.json"), "--customers", "30",
        "--days", "12", "--seed", "3", GUANXI_CLOCK_FILE=str(clock),
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not space.read("bank.events"):
        assert run.poll() is None
        assert time.monotonic() < deadline
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=60)
    assert run.returncode == 0
    assert {str(e.businessdate) for e in space.read("bank.events")} == {str(PLAN.live_on)}
    assert all(e.time.isoformat() <= f"{PLAN.live_on}T01:00:00" for e in space.read("bank.events"))


def test_pay_publishes_one_payment_with_the_orders_reference(space: Space) -> None:
    reference = order_reference(4711)
    arguments = ("pay", "--reference", reference, "--amount", "123.45", "--customer", "C20000005")
    run = command(space, *arguments, "--transaction", "pay-1")
    said, complaint = run.communicate(timeout=60)
    assert run.returncode == 0, complaint
    assert reference in said
    (event,) = space.read("bank.events")
    fact = event.data
    assert isinstance(fact, TransactionBooked)
    assert (fact.amount_minor, fact.currency, fact.kind) == (12_345, "CNY", "transfer_in")
    assert (fact.payment_reference, event.subject) == (reference, "C20000005")
    assert (fact.product_code, event.id) == ("CA-F", "txn-pay-1")
    wrong = (("--reference", "ORD-1"), ("--amount", "0.001"), ("--amount", "-5"))
    for refused in [command(space, *arguments, *one) for one in wrong]:  # side by side
        refused.communicate(timeout=60)
        assert refused.returncode == 1
    assert len(space.read("bank.events")) == 1


def test_a_missing_topic_is_named(space: Space, history: Path) -> None:
    run = command(space, "publish", str(history), GUANXI_TOPIC_PREFIX="nowhere.")
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "nowhere.bank.events" in said


def test_the_publisher_counts_what_it_sent(space: Space) -> None:
    publisher = kafka_publisher(space.settings("bank"))
    for event in next(Bank(PLAN).history()):
        publisher.send(event)
    publisher.settle()
    publisher.close()
    assert publisher.sent == sum(len(events) for events in published(space).values())
