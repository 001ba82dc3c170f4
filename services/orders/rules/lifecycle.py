"""The life of an order and who may decide on it."""

from collections.abc import Collection, Mapping
from enum import StrEnum

from shared.errors import DomainError


class Status(StrEnum):
    """Where an order stands. `voided`: an edit took away what was asked or given."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    EFFECTIVE = "effective"
    EXECUTING = "executing"
    CLOSED = "closed"
    REFUSED = "refused"
    VOIDED = "voided"
    CANCELLED = "cancelled"


class Act(StrEnum):
    """What can happen to an order."""

    EDIT = "edit"
    SUBMIT = "submit"
    APPROVE = "approve"
    REFUSE = "refuse"
    TAKE_EFFECT = "take_effect"
    START = "start"
    CLOSE = "close"
    REOPEN = "reopen"
    CANCEL = "cancel"


TRANSITIONS: Mapping[tuple[Status, Act], Status] = {
    (Status.DRAFT, Act.EDIT): Status.DRAFT,
    (Status.REFUSED, Act.EDIT): Status.DRAFT,
    (Status.VOIDED, Act.EDIT): Status.VOIDED,
    (Status.SUBMITTED, Act.EDIT): Status.VOIDED,
    (Status.APPROVED, Act.EDIT): Status.VOIDED,
    (Status.DRAFT, Act.SUBMIT): Status.SUBMITTED,
    (Status.VOIDED, Act.SUBMIT): Status.SUBMITTED,
    (Status.SUBMITTED, Act.APPROVE): Status.APPROVED,
    (Status.SUBMITTED, Act.REFUSE): Status.REFUSED,
    (Status.APPROVED, Act.TAKE_EFFECT): Status.EFFECTIVE,
    (Status.EFFECTIVE, Act.START): Status.EXECUTING,
    (Status.EXECUTING, Act.START): Status.EXECUTING,
    (Status.EXECUTING, Act.CLOSE): Status.CLOSED,
    (Status.CLOSED, Act.REOPEN): Status.EXECUTING,
    (Status.DRAFT, Act.CANCEL): Status.CANCELLED,
    (Status.SUBMITTED, Act.CANCEL): Status.CANCELLED,
    (Status.APPROVED, Act.CANCEL): Status.CANCELLED,
    (Status.REFUSED, Act.CANCEL): Status.CANCELLED,
    (Status.VOIDED, Act.CANCEL): Status.CANCELLED,
}
IN_EFFECT = frozenset({Status.EFFECTIVE, Status.EXECUTING, Status.CLOSED})
ASKED_OR_GIVEN = frozenset({Status.SUBMITTED, Status.APPROVED})


class NotInThisState(DomainError):
    """The order's state does not allow the act."""


class ContentChanged(DomainError):
    """What is to be approved is not what was submitted: the caller looked at other content."""


class SamePerson(DomainError):
    """Maker and checker are one person: four eyes are asked for."""

    status = 403


class AboveLimit(DomainError):
    """The amount is above what the checker may approve."""

    status = 403


def status_after(status: str, act: Act) -> Status:
    """The state that an act leads to. Raises NotInThisState."""
    following = TRANSITIONS.get((Status(status), act))
    if following is None:
        raise NotInThisState(
            {
                "zh-CN": "订单当前状态不允许此操作,请刷新后再试。",
                "en": f"An order that is {status} does not allow: {act}.",
            }
        )
    return following


def allows(status: str, act: Act) -> bool:
    return (Status(status), act) in TRANSITIONS


def edit_voids(status: str) -> bool:
    """Would an edit take away a request or an approval?"""
    return Status(status) in ASKED_OR_GIVEN


def check_approval(
    *,
    asked_hash: str,
    submitted_hash: str | None,
    makers: Collection[str],
    checker_id: str,
    amount_minor: int,
    limit_minor: int | None,
) -> None:
    """Raises what stands against this approval.

    Makers are all who wrote or submitted the content; a missing limit is none.
    """
    if submitted_hash is None or asked_hash != submitted_hash:
        raise ContentChanged(
            {
                "zh-CN": "订单内容与提交时不一致,请重新查看后再审批。",
                "en": "The content differs from what you looked at. Look at it again.",
            }
        )
    if checker_id in makers:
        raise SamePerson(
            {
                "zh-CN": "经办与复核不能是同一人。",
                "en": "Who made an order does not approve it.",
            }
        )
    if limit_minor is None or amount_minor > limit_minor:
        raise AboveLimit(
            {
                "zh-CN": "订单金额超出您的审批权限。",
                "en": "The amount is above your approval limit.",
            }
        )
