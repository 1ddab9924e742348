"""The bench's table on a terminal: at most 100 columns, one row per figure."""

from collections.abc import Mapping, Sequence

from bench.figure import Figure

COLUMNS = 100
_NAME, _VALUE, _UNIT, _BUDGET = 48, 10, 10, 10


def machine_lines(facts: Mapping[str, object]) -> list[str]:
    """The machine's facts, one per line, long ones folded."""
    lines: list[str] = []
    for name, value in facts.items():
        words = (
            ", ".join(f"{k} {v}" for k, v in value.items())
            if isinstance(value, dict)
            else str(value)
        )
        line = f"{name:<10}"
        for word in words.split(" "):
            if len(line) + 1 + len(word) > COLUMNS:
                lines.append(line)
                line = " " * 10
            line += f" {word}"
        lines.append(line)
    return lines


def heading() -> list[str]:
    """The table's head."""
    head = f"   {'':<{_NAME}} {'':>{_VALUE}} {'':<{_UNIT}} {'budget':<{_BUDGET}} verdict"
    return [head.rstrip(), "-" * COLUMNS]


def rows(figures: Sequence[Figure]) -> list[str]:
    """The figures of one line of the bench; its letter stands before the first."""
    lines: list[str] = []
    for index, figure in enumerate(figures):
        budget = ""
        if figure.budget is not None:
            sign = "<=" if figure.budget.kind == "at most" else ">="
            budget = f"{sign} {number(figure.budget.limit)}"
        letter = figure.line if index == 0 else " "
        lines.append(
            f"{letter}  {figure.name:<{_NAME}} {number(figure.value):>{_VALUE}} "
            f"{figure.unit:<{_UNIT}} {budget:<{_BUDGET}} {figure.verdict}".rstrip()
        )
    return lines


def number(value: float) -> str:
    """A number with about three digits that count, thousands apart."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return (
        f"{value:.1f}"
        if abs(value) >= 10
        else f"{value:.2f}"
        if abs(value) >= 1
        else f"{value:.3f}"
    )
