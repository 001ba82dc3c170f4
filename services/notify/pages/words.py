"""What the inbox says for codes: kinds, states and channels of notices, and events of a chain."""

from shared.web.translations import N_

KINDS = {
    "task_assigned": N_("New task"),
    "task_handed_off": N_("Handed to you"),
    "task_due": N_("Task due"),
    "order_approved": N_("Order approved"),
    "order_refused": N_("Order refused"),
    "reminder": N_("Reminder"),
    "reminder_held": N_("Reminder held"),
    "customer_lost": N_("Customer lost"),
}
STATES = {
    "unread": N_("Unread"),
    "snoozed": N_("Snoozed"),
    "acknowledged": N_("Acknowledged"),
    "withdrawn": N_("Withdrawn"),
}
CHANNELS = {"inbox": N_("Inbox"), "email": N_("E-mail"), "letter": N_("Letter")}
DELIVERIES = {
    "pending": N_("On its way"),
    "sent": N_("Delivered"),
    "failed": N_("Not delivered"),
    "off": N_("Switched off"),
}
# type of the event -> (icon, words)
EVENTS = {
    "bank.transaction_booked.v1": ("arrows-exchange", N_("The bank booked a transaction")),
    "bank.day_closed.v1": ("calendar-check", N_("The bank closed the day")),
    "scoring.alert_raised.v1": ("alert-triangle", N_("Alert raised")),
    "scoring.alert_cleared.v1": ("shield-check", N_("Alert cleared")),
    "workflow.process_started.v1": ("sitemap", N_("Process started")),
    "workflow.process_finished.v1": ("sitemap", N_("Process finished")),
    "workflow.task_assigned.v1": ("checklist", N_("Task assigned")),
    "workflow.task_claimed.v1": ("checklist", N_("Task taken")),
    "workflow.task_handed_off.v1": ("checklist", N_("Task handed on")),
    "workflow.task_due.v1": ("clock", N_("Due time reached")),
    "workflow.task_completed.v1": ("checklist", N_("Task completed")),
    "workflow.reassignment_requested.v1": ("users", N_("Reassignment requested")),
    "orders.quote_offered.v1": ("file-description", N_("Quote offered")),
    "orders.order_submitted.v1": ("file-invoice", N_("Order submitted")),
    "orders.order_approved.v1": ("file-check", N_("Order approved")),
    "orders.order_refused.v1": ("file-x", N_("Order refused")),
    "orders.order_voided.v1": ("file-x", N_("Approval void")),
    "orders.order_effective.v1": ("file-invoice", N_("Order effective")),
    "orders.step_due.v1": ("clock", N_("Step due")),
    "orders.step_done.v1": ("check", N_("Step done")),
    "orders.receivable_due.v1": ("clock", N_("Receivable due")),
    "orders.payment_applied.v1": ("coins", N_("Payment applied")),
    "orders.reminder_released.v1": ("bell", N_("Reminder released")),
    "orders.reminder_withdrawn.v1": ("bell-off", N_("Reminder withdrawn")),
    "orders.order_closed.v1": ("file-check", N_("Order closed")),
    "notify.notice_requested.v1": ("bell", N_("Notice asked for")),
}
# Where a link leads -> what one must hold to open it.
PAGES = {
    "/scoring/risk/": "alert.view",
    "/scoring/contribution/": "score.view",
    "/workflow/processes/": "process.view",
    "/orders/": "order.view",
    "/customer/": "customer.view",
    "/notify/": "notice.view",
}
