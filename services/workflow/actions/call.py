"""What an action is given: the instance it runs in and the step that asked for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.workflow.tables import InstanceRow
from shared.db import Tx


@dataclass(frozen=True, slots=True)
class ActionCall:
    """`data`: what the token knew; `owner_id`: who did the last step by hand, if anyone."""

    step_id: str
    instance: InstanceRow
    data: dict[str, Any]
    owner_id: str | None


Action = Callable[[Tx, ActionCall], None]
