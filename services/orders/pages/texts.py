"""Words of the order pages: codes and what staff read for them."""

from typing import Any

from shared.web.translations import N_

# code -> (colour, words): red needs me, yellow soon, green fine, blue information
ORDER_STATUS = {
    "draft": ("secondary", N_("Draft")),
    "submitted": ("yellow", N_("Waits for approval")),
    "approved": ("blue", N_("Approved")),
    "effective": ("blue", N_("In effect")),
    "executing": ("blue", N_("Being carried out")),
    "closed": ("green", N_("Completed")),
    "refused": ("red", N_("Refused")),
    "voided": ("red", N_("Approval void")),
    "cancelled": ("secondary", N_("Cancelled")),
}
REQUEST_STATE = {
    "waiting": ("yellow", N_("Waits for approval")),
    "approved": ("green", N_("Approved")),
    "refused": ("red", N_("Refused")),
    "voided": ("secondary", N_("Void")),
}
VOID_REASON = {
    "edited": N_("The content was edited"),
    "cancelled": N_("The order was cancelled"),
}
STEP_KIND = {"deliver": N_("Deliver"), "collect": N_("Collect")}
STEP_STATE = {
    "waiting": ("secondary", N_("Not yet due")),
    "due": ("yellow", N_("Due")),
    "done": ("green", N_("Done")),
}
SETTLEMENT = {
    "open": ("yellow", N_("Nothing paid yet")),
    "partial": ("yellow", N_("Partly paid")),
    "settled": ("green", N_("Paid")),
    "overpaid": ("red", N_("Overpaid")),
}
REMINDER_STATE = {
    "armed": ("secondary", N_("Set")),
    "fencing": ("blue", N_("Asking the facts again")),
    "held": ("red", N_("Held")),
    "released": ("blue", N_("Released")),
    "sent": ("green", N_("Sent")),
    "failed": ("red", N_("Not delivered")),
    "withdrawn": ("green", N_("Withdrawn")),
    "recorded": ("secondary", N_("Due before the bank went live: nobody is told")),
}
HELD_CAUSE = {
    "carries_reference": N_("A bank message that names this order was not applied"),
    "unreadable": N_("A bank message cannot be read and may be its payment"),
    "too_many": N_("Too many bank messages were not applied"),
}
REMINDER_WHY = {"paid": N_("The money has come in")}
QUOTE_STATUS = {
    "draft": ("secondary", N_("Draft")),
    "offered": ("blue", N_("Offered")),
    "ordered": ("green", N_("Ordered")),
    "withdrawn": ("secondary", N_("Withdrawn")),
}
UNMATCHED = {
    "unknown_order": N_("There is no such order"),
    "other_currency": N_("Another currency than the order's"),
    "order_cancelled": N_("The order was cancelled"),
    "mistyped_reference": N_("The reference was mistyped"),
    "several_references": N_("Names several orders"),
}
PROBLEM = {
    "account_taken": N_("Another open order uses this account"),
    "amount_too_large": N_("The total is too large"),
    "differs_from_quote": N_("Differs from the quote; enter it without the quote"),
    "empty": N_("Add at least one line"),
    "not_a_choice": N_("Choose one of the list"),
    "not_a_date": N_("Enter a date"),
    "not_a_number": N_("Enter a number"),
    "not_a_text": N_("Too long"),
    "not_an_amount": N_("Enter an amount, at most with cents"),
    "not_an_integer": N_("Enter a whole number"),
    "not_of_this_party": N_("Not a number of this customer"),
    "not_yes_or_no": N_("Choose yes or no"),
    "out_of_range": N_("Out of the allowed range"),
    "quote_not_valid": N_("The quote is not valid any more"),
    "required": N_("Needed"),
    "too_long": N_("Too long"),
    "too_many": N_("At most 200 lines"),
    "unknown_attribute": N_("Not defined"),
    "unknown_party": N_("This customer is not known here yet"),
    "unknown_product": N_("Choose a product"),
    "unknown_quote": N_("There is no such quote for this customer"),
}
WHY_NOT = {
    "same_person": N_("You made this order: someone else approves it"),
    "above_limit": N_("The amount is above your approval limit"),
}
WORDS: dict[str, Any] = {
    "ORDER_STATUS": ORDER_STATUS,
    "REQUEST_STATE": REQUEST_STATE,
    "VOID_REASON": VOID_REASON,
    "STEP_KIND": STEP_KIND,
    "STEP_STATE": STEP_STATE,
    "SETTLEMENT": SETTLEMENT,
    "REMINDER_STATE": REMINDER_STATE,
    "HELD_CAUSE": HELD_CAUSE,
    "REMINDER_WHY": REMINDER_WHY,
    "QUOTE_STATUS": QUOTE_STATUS,
    "UNMATCHED": UNMATCHED,
    "WHY_NOT": WHY_NOT,
}
