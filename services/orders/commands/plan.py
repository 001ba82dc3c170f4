"""The execution plan of an order in effect: steps fall due, are done, and close the order."""

from collections.abc import Sequence
from datetime import date

from services.orders import queries
from services.orders.commands.subject import LOCKED_PAUSE, fields_of, order_for, order_if_free
from services.orders.rules.lifecycle import Act, NotInThisState, Status, status_after
from services.orders.rules.payments import SETTLED
from services.orders.rules.plan import opening_of, plan_is_done, planned_steps
from services.orders.tables import OrderRow, PlanStepRow, ReceivableRow
from shared import outbox, timers
from shared.db import Tx
from shared.errors import NotFound
from shared.events.orders import OrderClosed, ReceivableDue, StepDone, StepDue
from shared.policy import Actor
from shared.timers import Timer

STEP_DUE = "step_due"

STEP_TEXTS = {
    "deliver": ("交付", "deliver"),
    "collect": ("收款", "collect"),
}


def lay_plan(tx: Tx, order: OrderRow, effective_on: date) -> list[PlanStepRow]:
    """Deliver, then collect; each with a timer at the opening of its date."""
    steps = []
    for planned in planned_steps(effective_on, order.deliver_days, order.collect_days):
        step = PlanStepRow(
            order_id=order.order_id, step_no=planned.step_no, kind=planned.kind,
            due_on=planned.due_on, due_at=opening_of(planned.due_on, tx.clock.zone),
            state="waiting", done_at=None, done_by=None,
        )  # fmt: skip
        tx.session.add(step)
        timers.arm(tx, STEP_DUE, step_id(step), step.due_at)
        steps.append(step)
    return steps


def step_due(tx: Tx, timer: Timer) -> None:
    """A step's date has come. Done already: nothing. Else it is said, once."""
    order_id, _, number = timer.key.rpartition("/")
    order = order_if_free(tx, order_id)
    if order is None:
        timers.arm(tx, STEP_DUE, timer.key, timer.due_at, not_before=tx.wall_now + LOCKED_PAUSE)
        return
    step = tx.session.get(PlanStepRow, (order_id, int(number)), populate_existing=True)
    if step is None or step.state != "waiting":
        return
    step.state = "due"
    if order.status == Status.EFFECTIVE:
        order.status = status_after(order.status, Act.START)
    if _before_live(tx, step.due_on):
        return
    zh, en = STEP_TEXTS[step.kind]
    outbox.enqueue(
        tx,
        StepDue(
            **fields_of(order),
            step_id=step_id(step),
            kind=step.kind,
            due_at=step.due_at,
            receiver_id=order.owner_id,
            text={"zh-CN": f"订单 {order_id} 今日应{zh}", "en": f"Order {order_id}: {en} today"},
        ),
    )
    if step.kind == "collect":
        _say_receivable_due(tx, order)


def deliver(tx: Tx, actor: Actor, order_id: str) -> OrderRow:
    """Staff say that the goods or the service were handed over."""
    order = order_for(tx, actor, "order.edit", order_id)
    step = _step(queries.steps_of(tx.session, order_id), "deliver")
    if step.state == "done":
        raise NotInThisState({"zh-CN": "交付已完成。", "en": "It was delivered already."})
    finish_step(tx, order, step, actor.id)
    close_if_done(tx, order)
    return order


def finish_step(tx: Tx, order: OrderRow, step: PlanStepRow, staff_id: str | None) -> None:
    """Done by a person, or by the system."""
    step.state, step.done_at, step.done_by = "done", tx.bank_now, staff_id
    order.status = status_after(order.status, Act.START)
    order.changed_at = tx.bank_now
    order.version += 1
    tx.session.flush()
    outbox.enqueue(
        tx,
        StepDone(
            **fields_of(order),
            step_id=step_id(step),
            kind=step.kind,
            done_at=tx.bank_now,
            staff_id=staff_id,
        ),
    )


def collected(tx: Tx, order: OrderRow) -> None:
    """The receivable is settled: the collect step is done."""
    step = _step(queries.steps_of(tx.session, order.order_id), "collect")
    if step.state != "done":
        finish_step(tx, order, step, None)
    close_if_done(tx, order)


def uncollected(tx: Tx, order: OrderRow) -> None:
    """A payment was taken back: the collect step is open again, and so is the order."""
    step = _step(queries.steps_of(tx.session, order.order_id), "collect")
    if step.state != "done":
        return
    step.state, step.done_at, step.done_by = "waiting", None, None
    if order.status == Status.CLOSED:
        order.status = status_after(order.status, Act.REOPEN)
        order.closed_at = None
    order.changed_at = tx.bank_now
    order.version += 1
    timers.arm(tx, STEP_DUE, step_id(step), step.due_at)


def close_if_done(tx: Tx, order: OrderRow) -> None:
    done = {s.kind: s.state == "done" for s in queries.steps_of(tx.session, order.order_id)}
    if order.status == Status.CLOSED or not plan_is_done(done):
        return
    order.status = status_after(order.status, Act.CLOSE)
    order.closed_at = tx.bank_now
    outbox.enqueue(
        tx,
        OrderClosed(
            **fields_of(order),
            outcome_code="completed",
            text={
                "zh-CN": f"订单 {order.order_id} 已完成",
                "en": f"Order {order.order_id} is completed",
            },
        ),
    )


def step_id(step: PlanStepRow) -> str:
    return f"{step.order_id}/{step.step_no}"


def _say_receivable_due(tx: Tx, order: OrderRow) -> None:
    receivable = tx.session.get_one(ReceivableRow, order.order_id)
    if receivable.settlement in SETTLED:
        return
    outbox.enqueue(
        tx,
        ReceivableDue(
            **fields_of(order),
            receivable_id=order.order_id,
            amount_minor=receivable.amount_minor - receivable.paid_minor,
            currency=receivable.currency,
            due_on=receivable.due_on,
            payment_reference=order.order_id,
        ),
    )


def _step(steps: Sequence[PlanStepRow], kind: str) -> PlanStepRow:
    for step in steps:
        if step.kind == kind:
            return step
    raise NotFound({"zh-CN": "订单尚未生效,没有执行计划。", "en": "The order has no plan yet."})


def _before_live(tx: Tx, due_on: date) -> bool:
    live_on = queries.fact(tx.session, queries.WENT_LIVE)
    return live_on is not None and due_on < date.fromisoformat(live_on)
