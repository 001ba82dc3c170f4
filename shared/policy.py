"""The decision point: business permission AND data scope AND limit. Deny by default."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a permission holds. `path` is the granting department's org path."""

    permission: str
    kind: Literal["own", "department", "subtree", "all"]
    path: str = ""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a member of staff, or a bank system with a token of its own."""

    id: str
    kind: Literal["staff", "system"] = "staff"
    name: str = ""
    permissions: frozenset[str] = frozenset()
    scopes: tuple[Scope, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)  # permission -> minor units
    org_path: str = ""
    language: str = "zh-CN"
    staff_codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    allowed: bool
    reason: str = ""


ALLOWED = Decision(True)


def decide(
    actor: Actor,
    permission: str,
    *,
    org_path: str | None = None,
    owner_id: str | None = None,
    amount_minor: int | None = None,
) -> Decision:
    """May the actor do this, on a record of this department and owner, up to this amount?

    A record's place is checked where it is given. An amount needs a limit: none means no.
    """
    if permission not in actor.permissions:
        return Decision(False, f"permission {permission} is missing")
    if (org_path is not None or owner_id is not None) and not _in_scope(
        actor, permission, org_path, owner_id
    ):
        return Decision(False, f"the record is outside the scope of {permission}")
    if amount_minor is not None:
        limit = actor.limits.get(permission)
        if limit is None or amount_minor > limit:
            return Decision(False, f"the amount is above the limit of {permission}")
    return ALLOWED


def _in_scope(actor: Actor, permission: str, org_path: str | None, owner_id: str | None) -> bool:
    for scope in actor.scopes:
        if scope.permission != permission:
            continue
        if scope.kind == "all":
            return True
        if scope.kind == "own" and owner_id is not None and owner_id == actor.id:
            return True
        if org_path is None or not scope.path:
            continue  # a scope without a place reaches none: it must not reach all
        if scope.kind == "department" and org_path == scope.path:
            return True
        if scope.kind == "subtree" and within(org_path, scope.path):
            return True
    return False


def within(path: str, root: str) -> bool:
    """Is the department at or below the root? Whole path parts: /head/b1 is not in /head/b.

    Nothing is below an unknown root.
    """
    return bool(root) and (path == root or path.startswith(root.rstrip("/") + "/"))


def widest(actor: Actor, permission: str) -> list[Scope]:
    """The scopes a query must filter by; empty means nothing is visible."""
    if permission not in actor.permissions:
        return []
    return [s for s in actor.scopes if s.permission == permission]
