"""What the scorer takes from `bank.reference`: which sources close their days."""

from services.scoring.watermark import Source
from shared.events.bank import SourceDescribed
from shared.events.envelope import Undecodable, UnknownType, UnknownVersion, decode


def source_in(value: bytes | None) -> tuple[str, Source] | None:
    """A source's description, if the record is one. Unreadable records are not ours to judge."""
    if not value:
        return None
    try:
        data = decode(value).data
    except (Undecodable, UnknownType, UnknownVersion):
        return None
    if not isinstance(data, SourceDescribed):
        return None
    until = data.active_until.toordinal() if data.active_until else 0
    return data.source, Source(data.closes_days, data.active_from.toordinal(), until)
