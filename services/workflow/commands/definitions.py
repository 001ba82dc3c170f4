"""Publishing process definitions. A version never changes; instances stay on theirs."""

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from services.workflow import bpmn
from services.workflow.actions import ACTIONS
from services.workflow.tables import DefinitionRow, InstanceRow
from shared.db import Tx
from shared.errors import DomainError, NotFound

SHIPPED_BY = "system"


class DefinitionUnknown(NotFound):
    """No version of that process is published."""


class DefinitionNotPublishable(DomainError):
    """The BPMN breaks a rule; the message says which."""

    status = 422


def publish_definition(tx: Tx, actor_id: str, xml: bytes) -> DefinitionRow:
    """The next version of the process in the file; the same content again is the same version."""
    try:
        read = bpmn.read_definition(xml, frozenset(ACTIONS))
    except bpmn.DefinitionRefused as error:
        raise DefinitionNotPublishable(
            {"zh-CN": f"流程定义不能发布:{error.reason}", "en": f"Not published: {error.reason}"}
        ) from error
    return _publish(tx, actor_id, read)


def publish_shipped(tx: Tx) -> None:
    """The product's own definitions; called when the listener starts and by the seed."""
    for read in bpmn.shipped_definitions(frozenset(ACTIONS)):
        _publish(tx, SHIPPED_BY, read)


def _publish(tx: Tx, actor_id: str, read: bpmn.Definition) -> DefinitionRow:
    tx.session.execute(
        text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"definition:{read.key}"},
    )
    known = tx.session.scalars(
        select(DefinitionRow).where(
            DefinitionRow.key == read.key, DefinitionRow.sha256 == read.sha256
        )
    ).one_or_none()
    if known is not None:
        return known
    last = tx.session.scalar(
        select(func.max(DefinitionRow.version)).where(DefinitionRow.key == read.key)
    )
    row = DefinitionRow(
        key=read.key,
        version=(last or 0) + 1,
        sha256=read.sha256,
        text=dict(read.text),
        xml=read.xml,
        spec=read.spec,
        published_at=tx.bank_now,
        published_by=actor_id,
    )
    tx.session.add(row)
    tx.session.flush()
    return row


def definition_to_start(tx: Tx, key: str) -> DefinitionRow:
    """The newest version. Raises DefinitionUnknown."""
    row = _newest(tx.session, key)
    if row is None:
        publish_shipped(tx)  # a listener that starts on an empty schema meets an event at once
        row = _newest(tx.session, key)
    if row is None:
        raise DefinitionUnknown(
            {"zh-CN": f"流程 {key} 尚未发布。", "en": f"No process {key} is published."}
        )
    return row


def _newest(session: Session, key: str) -> DefinitionRow | None:
    return session.scalars(
        select(DefinitionRow)
        .where(DefinitionRow.key == key)
        .order_by(DefinitionRow.version.desc())
        .limit(1)
    ).first()


def definition_of(session: Session, instance: InstanceRow) -> DefinitionRow:
    """The version that the instance was started on."""
    row = session.get(DefinitionRow, (instance.definition_key, instance.definition_version))
    assert row is not None, "a foreign key promises it"
    return row
