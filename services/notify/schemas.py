"""HTTP bodies of notify."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field


class NoticeOut(BaseModel):
    notice_id: str
    number: int
    kind: str
    story: str
    text: str
    link: str
    urgent: bool
    state: Literal["unread", "snoozed", "acknowledged", "withdrawn"]
    created_at: datetime
    snoozed_until: datetime | None
    cause: dict[str, Any]


class SnoozeIn(BaseModel):
    minutes: int = Field(ge=5, le=7 * 24 * 60)


class PreferenceIn(BaseModel):
    kind: str = Field(min_length=1, max_length=100)
    channel: str
    wanted: bool
