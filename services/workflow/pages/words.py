"""What pages say for the codes of workflow, and the business day they stand on."""

from datetime import date

from shared.clock import business_date
from shared.http import Context
from shared.web.translations import N_

STATES = {
    "open": N_("Open"),
    "claimed": N_("In hand"),
    "done": N_("Done"),
    "cancelled": N_("Withdrawn"),
}
ENTRIES = {
    "opened": N_("Started"),
    "assigned": N_("Assigned"),
    "claimed": N_("Taken"),
    "handed_off": N_("Handed on"),
    "completed": N_("Completed"),
    "due": N_("Due time reached"),
    "due_moved": N_("Due time moved"),
    "alert_attached": N_("One more alert"),
    "alert_cleared": N_("Alert cleared"),
    "finished": N_("Finished"),
    "note": N_("Note"),
    "merged": N_("Identity"),
}
SCOPES = {
    "own": N_("own customers"),
    "department": N_("own department"),
    "subtree": N_("department and below"),
    "all": N_("whole bank"),
}
KINDS = {
    "department": N_("Department"),
    "post": N_("Post"),
    "staff": N_("Member of staff"),
    "role": N_("Role"),
    "grant": N_("Granted role"),
    "limit": N_("Limit"),
    "absence": N_("Absence"),
}


PERMISSIONS = {
    "customer.view": N_("see customers"),
    "customer.search": N_("search customers"),
    "customer.edit": N_("edit customers"),
    "bank_events.publish": N_("publish bank events"),
    "order.view": N_("see orders"),
    "order.edit": N_("edit orders"),
    "order.submit": N_("submit orders"),
    "order.approve": N_("approve orders"),
    "order.collect": N_("collect payments"),
    "task.view": N_("see tasks"),
    "task.act": N_("do tasks"),
    "task.handoff": N_("hand tasks on"),
    "process.view": N_("see processes"),
    "process.edit": N_("publish processes"),
    "organisation.edit": N_("edit the organisation"),
    "score.view": N_("see contribution"),
    "alert.view": N_("see early warnings"),
    "notice.view": N_("receive notices"),
    "ops.view": N_("see operations"),
    "ops.act": N_("decide on parked messages"),
}


def today(ctx: Context) -> date:
    return business_date(ctx.clock.bank_now(), ctx.clock.zone)
