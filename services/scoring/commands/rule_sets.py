"""Sets of rules: proposed by one person, accepted or rejected by another, told to the workers.

One table lock orders all decisions: sets follow each other by their days, so two acceptances at
once must see each other.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
from sqlalchemy import delete, insert, text
from sqlalchemy.dialects.postgresql import insert as upsert

from services.scoring import rule_set, state
from services.scoring.queries import rule_sets as queries
from services.scoring.rule_set import RuleSet
from services.scoring.rule_set_tables import LiveSetRow, RuleSetRow
from shared import outbox
from shared.clock import business_date
from shared.db import AuditRow, Tx
from shared.errors import DomainError, Invalid, NotAllowed, NotFound
from shared.events.scoring import RuleSetAccepted

LOCK = text("lock table rule_sets in share row exclusive mode")
REASON_MIN = 10


class SameRules(DomainError):
    """Nothing changes by it."""


class SetNotProposed(DomainError):
    """It was decided already."""


class SetNotRehearsed(DomainError):
    """Its effect is not known: a rehearsal must have come to its end first."""


class SetOvertaken(DomainError):
    """Another set was accepted since: a set is whole, so this one would undo what that changed."""


class SetNotRunnable(DomainError):
    """No worker can go over to it."""


class OwnProposal(NotAllowed):
    """Who proposed it cannot decide on it."""


def propose(tx: Tx, rules: RuleSet, reason: str) -> int:
    """Takes note of a set that somebody wants; nothing runs by it yet. Returns its number.

    Raises SameRules, SetNotRunnable, Invalid.
    """
    reason = _reason(reason)
    tx.session.execute(LOCK)
    base_number, base = queries.last_rules(tx.session)
    changes = rule_set.differences(base, rules)
    if base.encoded() == rules.encoded():
        raise SameRules({"zh-CN": "与现行规则相同。", "en": "These are the rules that run."})
    _check_runs(base, rules)
    row = RuleSetRow(
        state="proposed",
        rules=rules.encoded(),
        base_number=base_number,
        changes={name: list(values) for name, values in changes.items()},
        reason=reason,
        proposed_by=tx.actor_id or "",
        proposed_at=tx.bank_now,
    )
    tx.session.add(row)
    tx.session.flush()
    _audit(tx, "rule_set.propose", row, changes=row.changes, reason=reason)
    return row.number


def accept(tx: Tx, number: int, effective_on: date) -> None:
    """The set goes live: it judges the close of this day and what follows. A second person only.

    Raises NotFound, OwnProposal, SetNotProposed, SetOvertaken, SetNotRehearsed,
    SetNotRunnable, Invalid.
    """
    row = _proposed(tx, number)
    base_number, base = queries.last_rules(tx.session)
    if row.base_number != base_number:
        raise SetOvertaken({
            "zh-CN": f"提出之后，第 {base_number} 号规则集已通过，请在现行规则上重新提出。",
            "en": f"Set {base_number} was accepted since: propose it again on the rules of now.",
        })  # fmt: skip
    rehearsed = queries.rehearsals_of(tx.session, number)
    if not any(r.state == "done" for r in rehearsed):
        raise SetNotRehearsed({"zh-CN": "预演尚未完成。", "en": "Its rehearsal is not done."})
    first = earliest_day(tx)
    if effective_on < first:
        raise Invalid("effective_on", {"zh-CN": f"最早从 {first} 起生效。",
                                       "en": f"The first day possible is {first}."})  # fmt: skip
    rules = rule_set.decoded(row.rules)
    _check_runs(base, rules)
    row.state, row.effective_on = "accepted", effective_on
    row.decided_by, row.decided_at = tx.actor_id, tx.bank_now
    changes = {n: list(v) for n, v in rule_set.differences(base, rules).items()}
    _audit(
        tx, "rule_set.accept", row, effective_on=effective_on.isoformat(), changes=changes,
        after=base_number, rules_before=base.encoded(), rules_after=row.rules,
    )  # fmt: skip
    outbox.enqueue(
        tx,
        RuleSetAccepted(
            set_id=f"set-{row.number}",
            number=row.number,
            effective_on=effective_on,
            rules=row.rules,
            proposed_by=row.proposed_by,
            accepted_by=tx.actor_id or "",
        ),
    )


def reject(tx: Tx, number: int, reason: str) -> None:
    """The set is given up. Raises NotFound, OwnProposal, SetNotProposed, Invalid."""
    row = _proposed(tx, number)
    reason = _reason(reason)
    row.state, row.decision_reason = "rejected", reason
    row.decided_by, row.decided_at = tx.actor_id, tx.bank_now
    _audit(tx, "rule_set.reject", row, reason=reason)


def earliest_day(tx: Tx) -> date:
    """The first day that a set may judge from: no partition has closed it, the bank has not begun
    it, and all sets of before have had theirs. So workers hear of it a day before they need it."""
    after = [business_date(tx.bank_now, tx.clock.zone)]
    _, closed = queries.closed_days(tx.session)
    if closed is not None:
        after.append(closed)
    accepted = queries.accepted(tx.session)
    if accepted:
        assert accepted[-1].effective_on is not None
        after.append(accepted[-1].effective_on)
    return max(after) + timedelta(days=1)


def _reason(given: str) -> str:
    if len(given.strip()) < REASON_MIN:
        raise Invalid(
            "reason",
            {"zh-CN": "请写明理由（至少 10 个字）。", "en": "Say why: 10 characters at least."},
        )
    return given.strip()


def _proposed(tx: Tx, number: int) -> RuleSetRow:
    tx.session.execute(LOCK)
    row = tx.session.get(RuleSetRow, number, populate_existing=True)
    if row is None:
        raise NotFound
    if row.state != "proposed":
        raise SetNotProposed({"zh-CN": "该规则集已有决定。", "en": "It was decided already."})
    if row.proposed_by == tx.actor_id:
        raise OwnProposal(
            {"zh-CN": "不能审批自己提出的规则集。", "en": "You proposed it: somebody else decides."}
        )
    return row


def _check_runs(base: RuleSet, rules: RuleSet) -> None:
    try:
        why = rule_set.misfit(queries.first_set(), base, rules)
    except msgspec.ValidationError as error:
        why = str(error)
    if why is not None:
        raise SetNotRunnable({"zh-CN": f"无法运行：{why}", "en": f"It cannot run: {why}"})


def _audit(tx: Tx, action: str, row: RuleSetRow, **detail: Any) -> None:
    tx.session.execute(
        insert(AuditRow).values(
            at=tx.wall_now,
            actor_id=tx.actor_id or "",
            action=action,
            subject=f"set-{row.number}",
            detail={"proposed_by": row.proposed_by, **detail},
        )
    )


def note_partitions(tx: Tx, partitions: Sequence[state.PartitionState]) -> None:
    """What the workers' own records say of the sets that they judge by."""
    for told in partitions:
        partition = told.partition
        rows = [
            {"partition": partition, "number": number, "first_on": date.fromordinal(day)}
            for number, day in told.sets
        ]
        numbers = [row["number"] for row in rows]
        tx.session.execute(
            delete(LiveSetRow).where(
                LiveSetRow.partition == partition, LiveSetRow.number.not_in(numbers)
            )
        )
        if rows:
            put = upsert(LiveSetRow)
            tx.session.execute(
                put.on_conflict_do_update(
                    index_elements=["partition", "number"],
                    set_={"first_on": put.excluded.first_on},
                ),
                rows,
            )
