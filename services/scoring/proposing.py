"""A set of rules proposed from a file, by a script of operations: what the page does, without it.

The author is named, and is held to what he may do as the page would hold him. Whoever accepts is a
second person, and does so on the page.
"""

from datetime import date
from pathlib import Path

import msgspec

from services.scoring import rule_set
from services.scoring.commands import rehearsals, rule_sets
from services.scoring.queries import rule_sets as queries
from shared.errors import Invalid, NotAllowed, PermissionMissing
from shared.runtime import Runtime

PERMISSION = "rules.propose"


def propose(
    runtime: Runtime, file: Path, author: str, reason: str, rehearse_from: date | None = None
) -> int:
    """Takes note of the set, and asks for its rehearsal when a day is given. Returns its number.

    Raises DomainError: everything that the page refuses.
    """
    runtime.learn_directory_end()
    actor = runtime.directory.actor(author, runtime.clock.bank_now())
    if actor is None:
        raise NotAllowed({"zh-CN": f"员工目录中没有 {author}。",
                          "en": f"{author} is not in the staff directory."})  # fmt: skip
    if PERMISSION not in actor.permissions:
        raise PermissionMissing(PERMISSION)
    if file.stat().st_size > rule_set.FILE_BYTES_MAX:
        raise Invalid("file", {"zh-CN": "文件过大。", "en": "The file is too large."})
    with runtime.database.transaction(actor_id=author) as tx:
        _, base = queries.last_rules(tx.session)
        try:
            rules = rule_set.changed(base, file.read_bytes())
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            told = {"zh-CN": f"文件无效：{error}", "en": f"The file cannot be taken: {error}"}
            raise Invalid("file", told) from error
        number = rule_sets.propose(tx, rules, reason)
        if rehearse_from is not None:
            rehearsals.ask(tx, number, rehearse_from)
    return number
