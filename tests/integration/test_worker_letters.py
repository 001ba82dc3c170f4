"""What the worker refused, as operations see it where it cannot be replayed."""

import msgspec
import pytest

from services.scoring.commands.worker_letters import RefusedIn, keep_refusals
from shared.policy import Actor
from shared.testing.space import ServiceUnderTest
from shared.wire import Record
from tests.integration import scoring_room
from tests.integration.scoring_room import rows

scoring = scoring_room.scoring
WORDS = {
    "en": {b"": "It has no content to replay", None: "Its content was not kept",
           b"{": "A replay sends it to the worker"},
    "zh-CN": {b"": "没有内容可重放", None: "未保留原文", b"{": "重放"},
}  # fmt: skip


@pytest.mark.parametrize(("value", "obstacle"), [(b"", "empty"), (None, "not_kept"), (b"{", None)])
def test_a_letter_without_content_cannot_be_replayed_and_says_so(
    scoring: ServiceUnderTest, value: bytes | None, obstacle: str | None
) -> None:
    letter = RefusedIn(topic="bank.events", partition=0, offset=0, kind="quarantined", field="",
                       reason="not JSON: JSON is malformed", key=b"C", payload=value)  # fmt: skip
    record = Record("scoring.dead", 0, 0, b"0", msgspec.json.encode(letter), 0)
    with scoring.database.transaction() as tx:
        keep_refusals(tx, [record])
    for language, words in WORDS.items():
        may = frozenset({"ops.view", "ops.act"})
        ops = scoring.client(Actor("S900", permissions=may, language=language))
        (one,) = ops.get("/ops/state").json()["letters"]
        page = ops.get("/ops/fragment").text
        assert one["obstacle"] == obstacle
        assert words[value] in page
        assert (f"{one['path']}/replay" in page) == (obstacle is None)
    replayed = ops.post(f"/ops/{one['path']}/replay")
    assert replayed.status_code == (202 if obstacle is None else 409), replayed.text
    states = [("replayed" if obstacle is None else "waiting",)]
    assert rows(scoring, "select state from worker_letters") == states
