"""The cell emulator: the same seed gives the same digits, and the figures are those of a battery."""

import itertools
from collections.abc import Iterator
from decimal import Decimal

import pytest

from drystone.sim.cell import Short, Shown, emulate, open_circuit


def first(shown: Iterator[Shown], count: int) -> list[Shown]:
    return list(itertools.islice(shown, count))


def test_same_seed_gives_the_same_digits_s0_58() -> None:
    again = [first(emulate(seed=3, module=1), 50) for _ in range(2)]
    assert again[0] == again[1]
    assert again[0] != first(emulate(seed=4, module=1), 50)
    assert again[0] != first(emulate(seed=3, module=2), 50)


def test_digits_of_a_seed_do_not_change_between_versions() -> None:
    shown = first(emulate(seed=7, module=0), 1)[0]
    assert str(shown.voltage) == "48.691"
    assert str(shown.cells[0]) == "4.061"


def test_figures_lie_where_the_published_table_has_them_s0_59() -> None:
    for module in range(5):
        (shown,) = first(emulate(seed=7, module=module), 1)
        assert all(Decimal("3.85") < cell < Decimal("4.10") for cell in shown.cells)
        assert abs(shown.current - Decimal("3.456")) <= Decimal("0.020")
        assert Decimal("0.69") < shown.soc < Decimal("0.91")


def test_every_number_is_exact_to_a_thousandth_and_cells_add_up() -> None:
    for shown in first(emulate(seed=1, module=0, step_s=60), 100):
        numbers = (shown.voltage, shown.current, shown.temperature, shown.soc, *shown.cells)
        assert {number.as_tuple().exponent for number in numbers} == {-3}
        assert sum(shown.cells) == shown.voltage


def test_module_is_discharged_and_charged_again_and_stays_within_bounds() -> None:
    charge = [shown.soc for shown in first(emulate(seed=1, module=0, step_s=60), 1_000)]
    assert min(charge) > Decimal("0.2")
    assert max(charge) < Decimal("0.95")
    assert any(a < b for a, b in itertools.pairwise(charge))


def test_short_pulls_one_cell_down_and_leaves_the_others_as_they_were() -> None:
    healthy = first(emulate(seed=1, module=0), 100)[99]
    short = first(emulate(seed=1, module=0, short=Short(cell=4, after_s=90)), 100)[99]
    apart = [a - b for a, b in zip(healthy.cells, short.cells, strict=True)]
    assert [n for n, difference in enumerate(apart, 1) if difference] == [4]
    assert apart[3] > Decimal("0.08")


def test_step_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="forward"):
        next(emulate(seed=1, module=0, step_s=0))


@pytest.mark.parametrize(("soc", "volts"), [(-1.0, 3.0), (0.0, 3.0), (1.0, 4.2), (2.0, 4.2)])
def test_open_circuit_is_flat_beyond_empty_and_full(soc: float, volts: float) -> None:
    assert open_circuit(soc) == volts
