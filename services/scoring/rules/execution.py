"""A plan or a budget against what really came: exact integers, no rate of what has no plan."""

from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Execution:
    """`plan_minor` None: nothing is planned. `compared_minor`: the actual of what has a plan.

    Actual is what is posted; what is accrued stands beside it and is in no rate.
    """

    plan_minor: int | None = None
    actual_minor: int = 0
    accrued_minor: int = 0
    compared_minor: int = 0

    @property
    def difference_minor(self) -> int | None:
        return None if self.plan_minor is None else self.compared_minor - self.plan_minor

    @property
    def rate_ppm(self) -> int | None:
        """Of the plan; rounded down, so that 100 % is said only of what is reached.

        Of a planned loss or of nothing there is no rate.
        """
        if self.plan_minor is None or self.plan_minor <= 0:
            return None
        return self.compared_minor * MILLION // self.plan_minor

    @property
    def partly(self) -> bool:
        """A sum, some of whose parts have no plan."""
        return self.plan_minor is not None and self.compared_minor != self.actual_minor

    def plus(self, other: "Execution") -> "Execution":
        plans = [p for p in (self.plan_minor, other.plan_minor) if p is not None]
        return Execution(
            sum(plans) if plans else None,
            self.actual_minor + other.actual_minor,
            self.accrued_minor + other.accrued_minor,
            self.compared_minor + other.compared_minor,
        )


def execution(plan_minor: int | None, actual_minor: int, accrued_minor: int) -> Execution:
    compared = 0 if plan_minor is None else actual_minor
    return Execution(plan_minor, actual_minor, accrued_minor, compared)
