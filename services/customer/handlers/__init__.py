"""What the customer service hears, and the function for each."""

from services.customer.commands.relationships import MANAGER_EFFECTIVE, on_manager_effective
from services.customer.handlers import customers, holdings, ours, relationships
from shared.consumer import Handler
from shared.events.envelope import Fact
from shared.timers import TimerHandler

HANDLERS: dict[type[Fact], Handler] = {
    **customers.HANDLERS,
    **holdings.HANDLERS,
    **relationships.HANDLERS,
    **ours.HANDLERS,
}
TIMERS: dict[str, TimerHandler] = {MANAGER_EFFECTIVE: on_manager_effective}
