"""Which of two words about a customer number's party holds."""

from datetime import datetime


def replaces(said_at: datetime, known_as_of: datetime | None, *, own: bool) -> bool:
    """Does an event of this time say anew to which party a number belongs?

    An event speaks for the number of its own key (`own`) at any time, and for the others of its
    list unless something newer was said of them: a party of many numbers then changes in one step.
    """
    return known_as_of is None or said_at > known_as_of or (said_at == known_as_of and own)
