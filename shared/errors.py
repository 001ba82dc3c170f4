"""Refusals: a rule of the business says no, the world is fine.

In a handler a refusal is recorded and the next event follows; over HTTP it becomes `status`.
"""

from collections.abc import Mapping
from typing import ClassVar


def _sentence(name: str) -> str:
    words: list[str] = []
    for letter in name.removesuffix("Error"):
        if letter.isupper() or not words:
            words.append(letter.lower())
        else:
            words[-1] += letter
    return " ".join(words)


class DomainError(Exception):
    """Refused. Subclasses name the reason; `message` is for people, in both languages."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "domain_error"  # for machines: `OrderNotWaiting` is `order_not_waiting`
    message: Mapping[str, str]

    def __init_subclass__(cls) -> None:
        if "code" not in vars(cls):
            cls.code = _sentence(cls.__name__).replace(" ", "_")

    def __init__(self, message: Mapping[str, str] | str | None = None) -> None:
        if message is None:
            message = {"en": _sentence(type(self).__name__)}
        elif isinstance(message, str):
            message = {"en": message}
        self.message = message
        super().__init__(self.text("en"))

    def text(self, language: str = "zh-CN") -> str:
        """The sentence in a language, else in one that exists."""
        found = self.message.get(language) or self.message.get("en")
        return found or next(iter(self.message.values()), self.code)


class NotFound(DomainError):
    """There is no such record, or the actor may not know that there is."""

    status = 404


class NotAllowed(DomainError):
    """The actor has no permission, is outside the data scope, or above the limit."""

    status = 403


class PermissionMissing(NotAllowed):
    """None of the actor's roles has the permission."""

    def __init__(self, permission: str) -> None:
        super().__init__(
            {
                "zh-CN": f"您的角色没有权限 {permission}。",
                "en": f"None of your roles has the permission {permission}.",
            }
        )


class Invalid(DomainError):
    """A value cannot be taken as given; `field` is its path, or the path of the first of many."""

    status = 422

    def __init__(self, field: str, message: Mapping[str, str] | str | None = None) -> None:
        self.field = field
        super().__init__(message)

    def reasons(self, language: str) -> Mapping[str, str]:
        """Every field that cannot be taken, and why: a sentence or a code."""
        return {self.field: self.text(language)}
