"""What grows old is forgotten, at the age that the settings say and not before."""

from datetime import timedelta
from threading import Event, Timer

from sqlalchemy import insert, select, text

from services.customer.__main__ import SERVICE as CUSTOMER
from services.customer.commands import intake
from services.notify import commands as notify_commands
from services.notify.__main__ import SERVICE as NOTIFY
from services.notify.tables import StoryEventRow
from services.scoring.__main__ import SERVICE as SCORING
from services.scoring.commands import rehearsals, turnover, worker_letters
from services.scoring.tables import WorkerLetterRow
from shared import dead_letters, forgetting, inbox
from shared.db import DeadLetterRow, InboxRow
from shared.forgetting import forget_old
from shared.process import work_of_listen

OLD, YOUNG = timedelta(days=91), timedelta(days=89)


def aged(ledger, days, rows=12):
    """Identities claimed that many days ago."""
    with ledger.database.transaction() as tx:
        claims = [inbox.Claim("old", f"{days}-{n}", n) for n in range(rows)]
        tx.wall_now -= timedelta(days=days)
        inbox.claim(tx, claims)


def remembered(ledger):
    with ledger.database.read() as session:
        return set(session.execute(select(InboxRow.event_id)).scalars())


def test_identities_are_forgotten_after_90_days_in_small_pieces(ledger, monkeypatch):
    monkeypatch.setattr(forgetting, "AT_ONCE", 5)
    monkeypatch.setattr(forgetting, "PAUSE_S", 0.0)
    for days in (0, 90, 91, 400):
        aged(ledger, days)
    pieces = []
    stock = ledger.database.transaction
    monkeypatch.setattr(ledger.database, "transaction", lambda: pieces.append(1) or stock())
    assert forget_old(ledger.database, inbox.AGING, Event()) == 24
    assert len(pieces) == 5, "five rows of 24 in a transaction; the last one finds too few"
    assert {name.partition("-")[0] for name in remembered(ledger)} == {"0", "90"}
    assert forget_old(ledger.database, inbox.AGING, Event()) == 0


def test_forgetting_waits_for_no_lock_and_stops_when_told(ledger):
    aged(ledger, 91)
    with ledger.database.transaction() as tx:
        one = select(InboxRow).where(InboxRow.event_id == "91-3").with_for_update()
        tx.session.execute(one)
        assert forget_old(ledger.database, inbox.AGING, Event()) == 11
    assert remembered(ledger) == {"91-3"}
    told = Event()
    told.set()
    assert forget_old(ledger.database, inbox.AGING, told) == 0
    assert remembered(ledger) == {"91-3"}


def test_forgetting_reads_by_the_index_of_the_days(ledger):
    with ledger.database.transaction() as tx:
        tx.session.execute(text("set local enable_seqscan = off"))
        limit = {"before": tx.wall_now, "rows": 10}
        plan = tx.session.execute(text(f"explain {inbox.FORGET}"), limit).scalars().all()
    assert any("ix_inbox_claimed_on" in line for line in plan), plan


def test_every_listener_forgets_soon_after_its_start(ledger, monkeypatch):
    monkeypatch.setattr(forgetting, "FIRST_AFTER_S", 0.05)
    aged(ledger, 91)
    aged(ledger, 1)
    stop = Event()
    Timer(1.0, stop.set).start()
    work_of_listen(ledger.runtime, stop)["forget"]()
    assert {name.partition("-")[0] for name in remembered(ledger)} == {"1"}


def test_settled_letters_go_and_open_ones_stay_however_old(ledger):
    long_ago = timedelta(days=400)
    with ledger.database.transaction() as tx:
        now = tx.wall_now
        cases = [
            ("waiting", long_ago, None), ("replay", long_ago, None),
            ("replayed", long_ago, OLD), ("replayed", long_ago, YOUNG),
            ("discarded", long_ago, OLD), ("recorded", OLD, None), ("recorded", YOUNG, None),
        ]  # fmt: skip
        for number, (state, recorded, resolved) in enumerate(cases):
            tx.session.execute(
                insert(DeadLetterRow).values(
                    kind="parked", state=state, topic="bank.events", partition=0, offset=number,
                    reason="r", payload=b"x", timestamp_ms=0, recorded_at=now - recorded,
                    resolved_at=now - resolved if resolved else None,
                )
            )  # fmt: skip
    assert forget_old(ledger.database, dead_letters.AGING, Event()) == 3
    with ledger.database.read() as session:
        left = session.execute(select(DeadLetterRow.offset).order_by(DeadLetterRow.offset))
        assert list(left.scalars()) == [0, 1, 3, 6]


def test_identities_of_the_http_intake_go_with_those_of_the_inboxes(space):
    customer = space.service(CUSTOMER)
    with customer.database.transaction() as tx:
        for name, age in (("old", OLD), ("young", YOUNG)):
            tx.session.execute(
                text("insert into intake values ('bank', :id, 1, :at)"),
                {"id": name, "at": tx.wall_now - age},
            )
    assert CUSTOMER.aging == (intake.AGING,)
    assert forget_old(customer.database, intake.AGING, Event()) == 1
    with customer.database.read() as session:
        assert session.execute(text("select event_id from intake")).scalars().all() == ["young"]


def test_a_story_grows_old_by_the_banks_clock(space):
    notify = space.service(NOTIFY)
    with notify.database.transaction() as tx:
        assert abs(tx.bank_now - tx.wall_now) > timedelta(days=1), "the clocks must differ"
        for days in (399, 401):
            tx.session.execute(
                insert(StoryEventRow).values(
                    event_id=f"e{days}", type="t", at=tx.bank_now - timedelta(days=days)
                )
            )
    assert NOTIFY.aging == (notify_commands.AGING,)
    assert forget_old(notify.database, notify_commands.AGING, Event()) == 1
    with notify.database.read() as session:
        assert session.execute(select(StoryEventRow.event_id)).scalars().all() == ["e399"]


def test_a_settled_letter_of_the_worker_loses_its_payload_and_keeps_the_decision(space):
    scoring = space.service(SCORING)
    with scoring.database.transaction() as tx:
        now = tx.wall_now
        cases = [("waiting", None), ("replayed", OLD), ("discarded", OLD), ("replayed", YOUNG)]
        for offset, (state, age) in enumerate(cases):
            tx.session.execute(
                insert(WorkerLetterRow).values(
                    topic="bank.events", partition=0, event_offset=offset, sequence=0,
                    kind="dead", state=state, payload=b"x", field="", reason="r",
                    recorded_at=now - timedelta(days=400),
                    resolved_at=now - age if age else None,
                )
            )  # fmt: skip
    assert SCORING.aging == (worker_letters.AGING, rehearsals.AGING, turnover.AGING)
    assert forget_old(scoring.database, worker_letters.AGING, Event()) == 2
    assert forget_old(scoring.database, worker_letters.AGING, Event()) == 0, "each once"
    with scoring.database.read() as session:
        rows = session.execute(
            select(WorkerLetterRow.state, WorkerLetterRow.payload.is_not(None)).order_by(
                WorkerLetterRow.event_offset
            )
        ).all()
    assert [tuple(row) for row in rows] == [
        ("waiting", True), ("replayed", False), ("discarded", False), ("replayed", True)
    ]  # fmt: skip
