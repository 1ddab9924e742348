"""The emulated street: equal for equal seeds, whole numbers only, and believable."""

import itertools

import pytest

from drystone.sim import meters

MIDSUMMER_S = 1_750_464_000  # 2025-06-21 00:00 UTC
DAY = 1_440


def test_two_streets_of_one_seed_are_equal() -> None:
    assert meters.street(seed=7, count=20) == meters.street(seed=7, count=20)


def test_a_longer_street_begins_with_the_shorter_one() -> None:
    assert meters.street(seed=7, count=30)[:20] == meters.street(seed=7, count=20)


def test_another_seed_gives_another_street() -> None:
    assert meters.street(seed=7, count=20) != meters.street(seed=8, count=20)


def test_device_names_are_unique_and_in_order() -> None:
    names = [meter.device for meter in meters.street(seed=1, count=50)]
    assert names == sorted(set(names))
    assert names[0] == "m-000001"


@pytest.mark.parametrize("count", [0, -1, meters.DEVICES_MAX + 1])
def test_a_street_of_an_impossible_length_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="a street has 1 to"):
        meters.street(seed=1, count=count)


def test_registers_never_fall() -> None:
    for meter in meters.street(seed=3, count=12):
        shown = list(
            itertools.islice(meters.readings(meter, start_s=MIDSUMMER_S, step_minutes=15), 192)
        )
        for earlier, later in itertools.pairwise(shown):
            assert later.import_wh >= earlier.import_wh
            assert later.export_wh >= earlier.export_wh


def test_the_energy_of_a_day_does_not_depend_on_the_step() -> None:
    meter = meters.street(seed=3, count=1)[0]
    begin = meters.start(meter, time_s=MIDSUMMER_S)
    at_once, _ = meters.advance(meter, begin, minutes=DAY)
    register = begin
    for _ in range(DAY // 15):
        register, _ = meters.advance(meter, register, minutes=15)
    assert register == at_once


def test_time_that_stands_still_is_refused() -> None:
    meter = meters.street(seed=3, count=1)[0]
    with pytest.raises(ValueError, match="only runs forward"):
        meters.advance(meter, meters.start(meter, time_s=0), minutes=0)


def test_every_shown_number_is_a_whole_number() -> None:
    meter = meters.street(seed=3, count=1)[0]
    reading = next(meters.readings(meter, start_s=MIDSUMMER_S, step_minutes=15))
    assert all(type(value) is int for value in reading[1:])


def test_a_meter_with_a_clock_stamps_the_end_of_the_interval() -> None:
    meter = next(m for m in meters.street(seed=3, count=40) if m.clock)
    reading = next(meters.readings(meter, start_s=MIDSUMMER_S, step_minutes=15))
    assert reading.time_s == MIDSUMMER_S + 900


def test_a_meter_without_a_clock_claims_no_time() -> None:
    meter = next(m for m in meters.street(seed=3, count=200) if not m.clock)
    reading = next(meters.readings(meter, start_s=MIDSUMMER_S, step_minutes=15))
    assert reading.time_s is None


def test_households_use_a_believable_energy_per_day() -> None:
    for meter in meters.street(seed=5, count=40):
        watts = [meters.net_watts(meter, minute=MIDSUMMER_S // 60 + m) for m in range(DAY)]
        imported_wh = sum(w for w in watts if w > 0) // 60
        assert 500 < imported_wh < 80_000


def test_a_roof_feeds_the_grid_at_noon_and_never_at_midnight() -> None:
    roofs = [m for m in meters.street(seed=5, count=60) if m.household.pv_peak_w > 4_000]
    noon = MIDSUMMER_S // 60 + 720
    assert any(meters.net_watts(meter, minute=noon) < 0 for meter in roofs)
    assert all(meters.net_watts(meter, minute=noon - 720) > 0 for meter in roofs)


def test_a_household_without_a_roof_never_exports() -> None:
    bare = next(m for m in meters.street(seed=5, count=60) if m.household.pv_peak_w == 0)
    register, reading = meters.advance(
        bare, meters.start(bare, time_s=MIDSUMMER_S), minutes=2 * DAY
    )
    assert register.export_wmin == 0
    assert reading.export_wh == 0


def test_known_values_of_one_seed_do_not_drift() -> None:
    """Pinned so that a change of the emulator, or of an interpreter's generator, is noticed."""
    meter = meters.street(seed=1, count=1)[0]
    shown = list(itertools.islice(meters.readings(meter, start_s=MIDSUMMER_S, step_minutes=15), 3))
    assert [reading.import_wh - meter.import_start_wh for reading in shown] == [71, 145, 226]
