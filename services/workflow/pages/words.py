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
    "capacity": N_("New alerts a day"),
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
    "rules.view": N_("see rules of early warning and their rehearsals"),
    "rules.propose": N_("propose and rehearse rules of early warning"),
    "rules.accept": N_("let rules of early warning that others proposed go live"),
    "notice.view": N_("receive notices"),
    "ops.view": N_("see operations"),
    "ops.act": N_("decide on parked messages"),
}


FIELDS = {  # of the organisation's records, where a change is shown
    "alerts_per_day": N_("New alerts a day"),
    "amount_minor": N_("Amount"),
    "branch_code": N_("Branch"),
    "cancelled": N_("Cancelled"),
    "department_id": N_("Department"),
    "deputy_staff_id": N_("Deputy"),
    "email": N_("E-mail"),
    "from_on": N_("From"),
    "head_staff_id": N_("Head"),
    "language": N_("Language"),
    "left_on": N_("Left on"),
    "name": N_("Name"),
    "names": N_("Names"),
    "org_path": N_("Place"),
    "parent_id": N_("Part of"),
    "permission": N_("Permission"),
    "permissions": N_("Permissions"),
    "post_id": N_("Post"),
    "role": N_("Role"),
    "roles": N_("Roles"),
    "scope": N_("Sees"),
    "staff_codes": N_("Codes of the bank"),
    "staff_id": N_("Member of staff"),
    "supervisor_staff_id": N_("Supervisor"),
    "until_on": N_("Until"),
}
# Its own id is in the line already; a currency is said with its amount.
UNSAID = frozenset({"currency", "limit_id", "grant_id", "absence_id"})


PICKER_ROWS = 8  # the nearest participants that are offered; the others are found by name


def today(ctx: Context) -> date:
    return business_date(ctx.clock.bank_now(), ctx.clock.zone)
