"""Who holds how much of a joint account, of what its opening says of the holders."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from services.scoring.rules.concentration import MILLION

BEYOND_WHOLE, TWICE = "beyond_whole", "twice"


@dataclass(frozen=True, slots=True)
class Shares:
    """Weight by holder; without any the whole is the owner's. `refused`: what was said is wrong."""

    weights: dict[str, int] = field(default_factory=dict)
    refused: str = ""


def shares_of(owner: str, holders: Iterable[tuple[str, int]]) -> Shares:
    """`holders`: number and share in ppm. Who has no share holds no money, whatever his role.

    Shares are weights: three times 333,333 are thirds. What is not given away is an owner's who is
    not named among the holders. Shares of more than the whole, or of one holder twice, are refused.
    """
    said = list(holders)
    named = Counter(number for number, share in said if share)
    if any(times > 1 for times in named.values()):
        return Shares(refused=TWICE)
    given = sum(share for _, share in said)
    if given > MILLION:
        return Shares(refused=BEYOND_WHOLE)
    weights = {number: share for number, share in said if share}
    if all(number != owner for number, _ in said) and given < MILLION:
        weights[owner] = MILLION - given
    return Shares(weights if weights.keys() - {owner} else {})
