"""What service tasks do: each only enqueues outbox rows. One file and one line for each."""

from services.workflow.actions.call import Action, ActionCall
from services.workflow.actions.tell_supervisor import tell_supervisor

__all__ = ["ACTIONS", "Action", "ActionCall"]

ACTIONS: dict[str, Action] = {
    "tell_supervisor": tell_supervisor,
}
