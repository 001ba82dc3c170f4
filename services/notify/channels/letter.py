"""What every outside channel is given, and how it says no."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Letter:
    """A notice in the receiver's language, ready for a channel."""

    notice_id: str
    address: str | None
    subject: str
    body: str
    link: str


class NotTaken(Exception):
    """The channel did not take it. `final`: trying again would not help."""

    def __init__(self, reason: str, *, final: bool) -> None:
        super().__init__(reason)
        self.final = final
