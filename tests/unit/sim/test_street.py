"""The street signs what its meters show, and its radio loses nothing for ever."""

from collections import Counter

from drystone.formats import cose
from drystone.records.key import SecretKey
from drystone.records.record import Record, check_form, check_signature
from drystone.sim import meters
from drystone.sim.street import Street

START = 1_750_464_000


def secrets(count: int) -> dict[str, SecretKey]:
    names = [meter.device for meter in meters.street(seed=4, count=count)]
    return {
        name: SecretKey.generate(cose.ALG_EDDSA, index.to_bytes(32))
        for index, name in enumerate(names)
    }


def street(count: int = 6) -> Street:
    return Street(
        seed=4, secrets=secrets(count), organisation="street", start_s=START, step_minutes=15
    )


def arrived(count: int, ticks: int) -> list[Record]:
    world = street(count)
    sent = [one for _ in range(ticks) for one in world.tick().arriving] + world.flush()
    return [check_form(one.data) for one in sent]


def test_two_streets_of_one_seed_and_keys_send_the_same_bytes() -> None:
    first, second = street(), street()
    for _ in range(30):
        assert first.tick() == second.tick()


def test_every_record_is_signed_by_its_meter_s_key() -> None:
    keys = secrets(6)
    for record in arrived(6, 3):
        check_signature(record, keys[record.sub].public)


def test_every_number_of_every_meter_arrives_at_least_once() -> None:
    counted = Counter((record.sub, record.seq) for record in arrived(10, 60))
    assert len(counted) == 600


def test_some_records_arrive_twice() -> None:
    counted = Counter((record.sub, record.seq) for record in arrived(20, 60))
    assert set(counted.values()) == {1, 2}


def test_some_records_arrive_after_later_ones() -> None:
    order: dict[str, list[int]] = {}
    for record in arrived(20, 60):
        order.setdefault(record.sub, []).append(record.seq)
    assert any(numbers != sorted(numbers) for numbers in order.values())


def test_a_record_says_what_the_meter_shows() -> None:
    world = street()
    tick = world.tick()
    record = check_form(next(one.data for one in tick.arriving if one.device == "m-000002"))
    shown = tick.readings["m-000002"]
    measured = {name: value for name, _, value, _ in record.content}  # type: ignore[misc]
    assert measured["import"] == shown.import_wh
    assert measured["power"] == shown.power_w


def test_a_meter_without_a_roof_reports_no_export() -> None:
    roofs = {meter.device: meter.household.pv_peak_w for meter in meters.street(seed=4, count=12)}
    for record in arrived(12, 1):
        names = [reading[0] for reading in record.content]
        assert ("export" in names) == bool(roofs[record.sub])
