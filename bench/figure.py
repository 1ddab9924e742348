"""A figure of the bench beside its budget: a number, never an assertion."""

from typing import Any, Literal, NamedTuple


class Budget(NamedTuple):
    """What design section 9 asks of a figure."""

    kind: Literal["at least", "at most"]
    limit: float

    def judge(self, value: float) -> str:
        """Say whether the figure meets it, and by how much it does not."""
        over = value - self.limit if self.kind == "at most" else self.limit - value
        if over <= 0:
            return "met"
        return f"missed by {max(1, round(100 * over / self.limit))} %"


class Figure(NamedTuple):
    """One row of the table."""

    line: str
    """Letter of the line it belongs to: a to k."""
    name: str
    value: float
    unit: str
    budget: Budget | None = None

    @property
    def verdict(self) -> str:
        """`met`, `missed by ...`, or nothing where there is no budget."""
        return "" if self.budget is None else self.budget.judge(self.value)

    def as_json(self) -> dict[str, Any]:
        """The row for programs."""
        row: dict[str, Any] = {
            "line": self.line, "name": self.name, "value": self.value, "unit": self.unit,
        }  # fmt: skip
        if self.budget is not None:
            row["budget"] = {"kind": self.budget.kind, "limit": self.budget.limit}
            row["verdict"] = self.verdict
        return row


def at_least(limit: float) -> Budget:
    """A budget that larger figures meet."""
    return Budget("at least", limit)


def at_most(limit: float) -> Budget:
    """A budget that smaller figures meet."""
    return Budget("at most", limit)


def percentile(values: list[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
