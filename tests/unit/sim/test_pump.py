"""The pump emulator: the same seed gives the same digits; wear passes the published thresholds, service ends it."""

from drystone.sim.pump import Pump, Shown


def run(pump: Pump, seconds: int) -> list[Shown]:
    return [pump.step() for _ in range(seconds)]


def pump(*, seed: int = 7, number: int = 1, wears_after_s: int | None = None) -> Pump:
    return Pump(seed=seed, number=number, wears_after_s=wears_after_s)


def test_same_seed_gives_the_same_digits() -> None:
    assert run(pump(), 100) == run(pump(), 100)
    assert run(pump(), 100) != run(pump(seed=8), 100)
    assert run(pump(), 100) != run(pump(number=2), 100)


def test_digits_of_a_seed_do_not_change_between_versions() -> None:
    assert run(pump(), 1) == [Shown(0, 63_011, 164_196, 409_277_728, 233_575)]


def test_sound_bearing_stays_below_the_published_thresholds_s3_85() -> None:
    for shown in run(pump(), 2_000):
        assert shown.vibration < 100_000
        assert shown.temperature < 200_000


def test_worn_bearing_passes_both_thresholds_in_every_second() -> None:
    worn = run(pump(wears_after_s=0), 1_000)[600:]
    assert all(shown.vibration > 100_000 and shown.temperature > 200_000 for shown in worn)


def test_wear_begins_when_it_is_told_to() -> None:
    one = pump(wears_after_s=50)
    before = run(one, 50)
    assert before == run(pump(), 50)
    assert one.wear == 0
    run(one, 150)
    assert one.wear == 500


def test_service_ends_wear_and_the_machine_cools() -> None:
    one = pump(wears_after_s=0)
    run(one, 600)
    one.service()
    assert one.wear == 0
    after = run(one, 400)
    assert all(shown.vibration < 100_000 for shown in after)
    assert all(shown.temperature < 200_000 for shown in after[100:])
