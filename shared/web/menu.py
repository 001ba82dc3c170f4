"""The left menu: one list, in the order of a working day. A person sees what they may use."""

from collections.abc import Collection
from dataclasses import dataclass

from shared.web.translations import N_


@dataclass(frozen=True)
class MenuEntry:
    """`permission`: whoever has it sees the entry; `label`: a msgid."""

    path: str
    icon: str  # of the Tabler icon font, without "ti-"
    label: str
    permission: str


MENU: tuple[MenuEntry, ...] = (
    MenuEntry("/workflow/desk", "layout-dashboard", N_("Desk"), "task.view"),
    MenuEntry("/customer/search", "users", N_("Customers"), "customer.search"),
    MenuEntry("/orders/orders", "file-invoice", N_("Orders"), "order.view"),
    MenuEntry("/scoring/contribution", "chart-bar", N_("Contribution"), "score.view"),
    MenuEntry("/scoring/risk", "alert-triangle", N_("Early warning"), "alert.view"),
    MenuEntry("/scoring/rules", "adjustments", N_("Rehearsal"), "rules.view"),
    MenuEntry("/workflow/processes", "sitemap", N_("Processes"), "process.view"),
    MenuEntry("/workflow/organisation", "building", N_("Organisation"), "task.view"),
    MenuEntry("/notify/inbox", "inbox", N_("Inbox"), "notice.view"),
    MenuEntry("/workflow/ops", "activity-heartbeat", N_("Operations"), "ops.view"),
)


def menu_of(permissions: Collection[str]) -> tuple[MenuEntry, ...]:
    return tuple(entry for entry in MENU if entry.permission in permissions)
