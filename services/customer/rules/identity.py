"""Who is who: party ids, and which parties are one.

A party id is made from the number it was born with, so a rebuild from the topics gives the same
ids. Everything known of a party stays under its birth id for ever; a merge only adds an edge
from one party to another. The current party of a birth id is the end of its edges, so an
unmerge, which removes one edge, leaves what would have been without the merge, exactly.
"""

from collections.abc import Mapping

from shared.errors import DomainError

CUSTOMER_PREFIX = "P"
PROSPECT_PREFIX = "R"


class PartiesAlreadyOne(DomainError):
    """Both records are the same party already."""


class MergeNotOpen(DomainError):
    """The merge was undone already."""


def party_of_number(customer_number: str) -> str:
    """The birth id of the party behind a bank customer number."""
    return CUSTOMER_PREFIX + customer_number


def party_of_prospect(prospect_id: str) -> str:
    """The birth id of a party that has no number yet."""
    return PROSPECT_PREFIX + prospect_id


def number_of_party(party_id: str) -> str | None:
    """The bank's number a party was born with; none for a prospect."""
    return party_id.removeprefix(CUSTOMER_PREFIX) if party_id.startswith(CUSTOMER_PREFIX) else None


def root_of(party_id: str, merged_into: Mapping[str, str]) -> str:
    """The current party of a birth id. `merged_into` holds the edges of all open merges."""
    seen = {party_id}
    while party_id in merged_into:
        party_id = merged_into[party_id]
        if party_id in seen:
            raise ValueError(f"merges of {party_id} form a circle")
        seen.add(party_id)
    return party_id


def check_merge(from_party_id: str, into_party_id: str, roots: Mapping[str, str]) -> None:
    """Only two present parties can become one; this also keeps circles out."""
    if roots[from_party_id] == roots[into_party_id]:
        raise PartiesAlreadyOne(
            {
                "zh-CN": f"{from_party_id} 与 {into_party_id} 已是同一当事人。",
                "en": f"{from_party_id} and {into_party_id} are one party already.",
            }
        )
