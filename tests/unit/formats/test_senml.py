"""SenML: base fields resolve, the profile's refusals each have a case, and what is written reads back."""

import marshal
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spellings import respellings

from drystone.errors import (
    CborUnsupported,
    Refused,
    SenmlMalformed,
    SenmlName,
    SenmlTimeFalling,
    SenmlTimeRelative,
    SenmlUnit,
)
from drystone.formats import cbor, senml
from drystone.formats.cbor import Tag
from drystone.formats.senml import Measurement, Number
from drystone.formats.units import SECONDARY, UNITS
from drystone.limits import PACK_MEASUREMENTS_MAX

WORKED = bytes.fromhex("81a500616501625768021a02dfa589061a690b2e3020181a")
NOW = 1762340400


def read(payload: bytes) -> tuple[Measurement, ...]:
    return senml.read_pack(payload, iss="ewz", sub="m-004217")


def resolve(*pack: object) -> list[tuple[object, ...]]:
    return [tuple(m) for m in read(cbor.encode(pack))]  # type: ignore[arg-type]


def test_worked_pack_holds_one_energy_register() -> None:
    expected = Measurement("e", "Wh", 48211337, NOW)

    assert read(WORKED) == (expected,)
    assert senml.write_pack([expected]) == WORKED
    assert marshal.loads(marshal.dumps(tuple(expected))) == tuple(expected)


@pytest.mark.parametrize(
    ("measurement", "record_bytes"),
    [
        (Measurement("e", "Wh", 48211337, NOW), 136),
        (Measurement("e", "kWh", (-3, 48211337), NOW), 140),
        (Measurement("e", None, 48211337, NOW), 128),
        (Measurement("e", "Wh", 48211337, None), 129),
    ],
)
def test_record_has_the_size_the_format_notes_give(
    measurement: Measurement, record_bytes: int
) -> None:
    """All but the payload is 110 bytes in the worked record."""
    pack = senml.write_pack([measurement])

    assert 110 + len(cbor.head(cbor.BYTES, len(pack)) + pack) == record_bytes


def test_sixty_readings_cost_about_nine_bytes_each() -> None:
    readings = [Measurement("e", "Wh", 48211337 + 40 * i, NOW + 60 * i) for i in range(60)]

    pack = senml.write_pack(readings)

    assert len(pack) <= 60 * 9 + 24
    assert list(read(pack)) == readings


def test_bases_hold_from_their_record_on() -> None:
    pack = resolve(
        {0: "a", 2: 1},
        {-2: "x:", -3: NOW, -4: "V", -5: 10, 0: "b", 2: 1},
        {0: "c", 2: 2, 6: 1},
        {0: "d", 1: "A", 2: 3, 6: 2},
        {-2: "y:", -3: NOW + 5, -5: [-1, 5] and Tag(4, [-1, 5]), 0: "e", 2: 4},
        {0: "f", 3: "on"},
        {0: "g", 4: True},
        {0: "h", 8: b"\x00\xff"},
    )

    assert pack == [
        ("a", None, 1, None),
        ("x:b", "V", 11, NOW),
        ("x:c", "V", 12, NOW + 1),
        ("x:d", "A", 13, NOW + 2),
        ("y:e", "V", (-1, 45), NOW + 5),
        ("y:f", "V", "on", NOW + 5),
        ("y:g", "V", True, NOW + 5),
        ("y:h", "V", b"\x00\xff", NOW + 5),
    ]


def test_decimal_fraction_is_kept_as_signed() -> None:
    (measurement,) = resolve({0: "e", 2: Tag(4, [-1, 10])})

    assert measurement[2] == (-1, 10)
    assert senml.compare((-1, 10), 1) == 0


def test_missing_time_is_no_claim_but_time_zero_is_refused() -> None:
    assert resolve({0: "e", 2: 1}) == [("e", None, 1, None)]
    with pytest.raises(SenmlTimeRelative):
        resolve({0: "e", 2: 1, 6: 0})


def test_time_zero_beside_a_base_time_is_that_time() -> None:
    assert resolve({0: "e", 2: 1, 6: 0, -3: NOW}) == [("e", None, 1, NOW)]


def test_time_at_the_border_to_relative_is_absolute() -> None:
    assert resolve({0: "e", 2: 1, 6: 2**28})[0][3] == 2**28
    assert resolve({0: "e", 2: 1, 6: Tag(4, [-1, 2**28 * 10])})[0][3] == (-1, 2**28 * 10)


def test_equal_times_and_missing_times_between_claims_are_accepted() -> None:
    pack = resolve({0: "a", 2: 1}, {0: "b", 2: 1, 6: NOW}, {0: "c", 2: 1}, {0: "d", 2: 1, 6: NOW})

    assert [m[3] for m in pack] == [None, NOW, None, NOW]


def test_percent_is_spelt_as_slash_100_with_version_26() -> None:
    assert resolve({0: "s", 1: "/100", 2: 50, -1: 26})[0][1] == "/100"
    assert resolve({0: "s", 1: "/", 2: Tag(4, [-2, 50])})[0][1] == "/"


def test_version_26_without_a_secondary_unit_is_accepted() -> None:
    assert resolve({0: "e", 1: "J", 2: 1, -1: 26}) == [("e", "J", 1, None)]


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_primary_unit_is_accepted_in_every_version(unit: str) -> None:
    assert resolve({0: "e", 1: unit, 2: 1})[0][1] == unit
    assert resolve({0: "e", 1: unit, 2: 1, -1: 26})[0][1] == unit


@pytest.mark.parametrize("unit", sorted(SECONDARY))
def test_secondary_unit_needs_version_26(unit: str) -> None:
    assert resolve({0: "e", 1: unit, 2: 1, -1: 26})[0][1] == unit
    with pytest.raises(SenmlUnit, match="26"):
        resolve({0: "e", 1: unit, 2: 1})


def test_names_of_64_characters_are_accepted() -> None:
    assert resolve({-2: "a" * 40, 0: "b" * 24, 2: 1})[0][0] == "a" * 40 + "b" * 24
    assert resolve({-2: "Aa0-:./_", 2: 1})[0][0] == "Aa0-:./_"


BIG = 2**63 - 1


def test_numbers_of_63_bits_are_accepted() -> None:
    assert resolve({0: "e", 2: BIG}, {0: "e", 2: -BIG}, {0: "e", 2: Tag(4, [-9, BIG])})[2][2] == (
        -9,
        BIG,
    )


@pytest.mark.parametrize(
    ("pack", "error"),
    [
        ([], SenmlMalformed),
        ({0: "e", 2: 1}, SenmlMalformed),
        (1, SenmlMalformed),
        ([{0: "e", 2: 1}] * (PACK_MEASUREMENTS_MAX + 1), SenmlMalformed),
        ([1], SenmlMalformed),
        ([[0, "e"]], SenmlMalformed),
        ([{}], SenmlName),
        ([{0: "e"}], SenmlMalformed),
        ([{0: "e", 2: 1, 3: "x"}], SenmlMalformed),
        ([{0: "e", 4: True, 8: b""}], SenmlMalformed),
        ([{0: "e", 2: True}], SenmlMalformed),
        ([{0: "e", 2: None}], SenmlMalformed),
        ([{0: "e", 2: "1"}], SenmlMalformed),
        ([{0: "e", 2: b"1"}], SenmlMalformed),
        ([{0: "e", 3: 1}], SenmlMalformed),
        ([{0: "e", 3: b"x"}], SenmlMalformed),
        ([{0: "e", 4: 1}], SenmlMalformed),
        ([{0: "e", 8: "x"}], SenmlMalformed),
        ([{0: "e", 2: 1, 5: 1}], SenmlMalformed),
        ([{0: "e", 2: 1, 7: 1}], SenmlMalformed),
        ([{0: "e", 2: 1, -6: 1}], SenmlMalformed),
        ([{0: "e", 2: 1, 9: 1}], SenmlMalformed),
        ([{0: "e", 2: 1, -7: 1}], SenmlMalformed),
        ([{0: "e", 2: 1, "x": 1}], SenmlMalformed),
        ([{0: "e", 2: 1, "x_": 1}], SenmlMalformed),
        ([{0: "e", 2: 1, b"": 1}], SenmlMalformed),
        ([{0: "e", 2: 1, -1: 10}], SenmlMalformed),
        ([{0: "e", 2: 1, -1: 27}], SenmlMalformed),
        ([{0: "e", 2: 1, -1: "26"}], SenmlMalformed),
        ([{0: "e", 2: 1, -1: 26}, {0: "e", 2: 1, -1: 26}], SenmlMalformed),
        ([{0: "e", 2: 1}, {0: "e", 2: 1, -1: 26}], SenmlMalformed),
        ([{0: 5, 2: 1}], SenmlMalformed),
        ([{0: b"e", 2: 1}], SenmlMalformed),
        ([{-2: 1, 0: "e", 2: 1}], SenmlMalformed),
        ([{0: "e", 1: 5, 2: 1}], SenmlMalformed),
        ([{0: "e", -4: None, 2: 1}], SenmlMalformed),
        ([{2: 1}], SenmlName),
        ([{0: "", 2: 1}], SenmlName),
        ([{0: "-e", 2: 1}], SenmlName),
        ([{0: ":e", 2: 1}], SenmlName),
        ([{0: "a b", 2: 1}], SenmlName),
        ([{0: "a\n", 2: 1}], SenmlName),
        ([{0: "é", 2: 1}], SenmlName),
        ([{0: "a+", 2: 1}], SenmlName),
        ([{0: "a" * 65, 2: 1}], SenmlName),
        ([{-2: "a" * 40, 0: "b" * 25, 2: 1}], SenmlName),
        ([{-2: "/a", 0: "b", 2: 1}], SenmlName),
        ([{0: "e", 1: "%", 2: 1}], SenmlUnit),
        ([{0: "e", 1: "%", 2: 1, -1: 26}], SenmlUnit),
        ([{0: "e", -4: "%", 2: 1}], SenmlUnit),
        ([{0: "e", 1: "V", -4: "%", 2: 1}], SenmlUnit),
        ([{0: "e", 1: "MWh", 2: 1, -1: 26}], SenmlUnit),
        ([{0: "e", 1: "degC", 2: 1, -1: 26}], SenmlUnit),
        ([{0: "e", 1: "", 2: 1}], SenmlUnit),
        ([{0: "e", 1: "wh", 2: 1, -1: 26}], SenmlUnit),
        ([{0: "e", -4: "Wh", 2: 1}], SenmlUnit),
        ([{0: "e", 2: Tag(4, [0, 1])}], SenmlMalformed),
        ([{0: "e", 2: Tag(4, [1, 1])}], SenmlMalformed),
        ([{0: "e", 2: Tag(4, [-10, 1])}], SenmlMalformed),
        ([{0: "e", 2: Tag(4, [-1])}], SenmlMalformed),
        ([{0: "e", 2: Tag(4, [-1, 1, 1])}], SenmlMalformed),
        ([{0: "e", 2: Tag(4, [-1, "1"])}], SenmlMalformed),
        ([{0: "e", 2: Tag(4, [-1, True])}], SenmlMalformed),
        ([{0: "e", 2: Tag(4, ["-1", 1])}], SenmlMalformed),
        ([{0: "e", 2: Tag(4, 1)}], SenmlMalformed),
        ([{0: "e", 2: Tag(18, [-1, 1])}], SenmlMalformed),
        ([{0: "e", 2: [-1, 1]}], SenmlMalformed),
        ([{0: "e", 2: Tag(4, [-1, 2**63])}], SenmlMalformed),
        ([{0: "e", 2: 2**63}], SenmlMalformed),
        ([{0: "e", 2: -(2**63)}], SenmlMalformed),
        ([{0: "e", 2: BIG, -5: 1}], SenmlMalformed),
        ([{0: "e", 2: -BIG, -5: -1}], SenmlMalformed),
        ([{0: "e", 2: Tag(4, [-9, 1]), -5: BIG}], SenmlMalformed),
        ([{0: "e", 2: 1, 6: True}], SenmlMalformed),
        ([{0: "e", 2: 1, 6: "now"}], SenmlMalformed),
        ([{0: "e", 2: 1, -3: None}], SenmlMalformed),
        ([{0: "e", 2: 1, -5: "1"}], SenmlMalformed),
        ([{0: "e", 2: 1, 6: BIG, -3: 1}], SenmlMalformed),
        ([{0: "e", 2: 1, 6: 0}], SenmlTimeRelative),
        ([{0: "e", 2: 1, 6: -5}], SenmlTimeRelative),
        ([{0: "e", 2: 1, 6: 2**28 - 1}], SenmlTimeRelative),
        ([{0: "e", 2: 1, 6: Tag(4, [-1, 2**28 * 10 - 1])}], SenmlTimeRelative),
        ([{0: "e", 2: 1, -3: 5}], SenmlTimeRelative),
        ([{0: "e", 2: 1, 6: -NOW, -3: NOW}], SenmlTimeRelative),
        ([{0: "e", 2: 1, 6: NOW}, {0: "e", 2: 1, 6: NOW - 1}], SenmlTimeFalling),
        (
            [{0: "e", 2: 1, 6: NOW}, {0: "f", 2: 1}, {0: "e", 2: 1, 6: NOW - 1}],
            SenmlTimeFalling,
        ),
        (
            [{0: "e", 2: 1, 6: NOW}, {0: "e", 2: 1, 6: Tag(4, [-1, NOW * 10 - 1])}],
            SenmlTimeFalling,
        ),
        ([{0: "e", 2: 1, -3: NOW}, {0: "e", 2: 1, 6: -1}], SenmlTimeFalling),
    ],
)
def test_pack_outside_the_profile_is_refused(pack: cbor.Encodable, error: type) -> None:
    with pytest.raises(error) as caught:
        read(cbor.encode(pack))
    assert str(caught.value).startswith("pack of ewz/m-004217: ")


def test_float_is_refused_as_such() -> None:
    with pytest.raises(CborUnsupported):
        read(bytes.fromhex("81a2006165 02f93c00"))


def test_every_other_spelling_of_the_worked_pack_is_refused() -> None:
    for what, other in respellings(WORKED):
        with pytest.raises(Refused):
            pytest.fail(f"{what}: {read(other)}")


numbers: st.SearchStrategy[Number] = st.integers(-BIG, BIG) | st.tuples(
    st.integers(-9, -1), st.integers(-BIG, BIG)
)
times = st.integers(2**28, 2**40) | st.tuples(st.just(-3), st.integers(2**40, 2**50))
measurements = st.builds(
    Measurement,
    st.sampled_from(["e", "e:a", "e:b", "temp", "a" * 64, "P1"]),
    st.sampled_from([None, "Wh", "J", "Cel", "/100"]),
    numbers | st.text(max_size=10) | st.booleans() | st.binary(max_size=10),
    st.none(),
)


@given(st.lists(measurements, min_size=1, max_size=8), st.lists(times, max_size=8))
@settings(max_examples=300)
def test_what_is_written_reads_back(pack: list[Measurement], stamps: list[Number]) -> None:
    ordered = sorted(stamps, key=lambda t: senml.scale(t, -3) or 0)
    timed = [m._replace(time=t) for m, t in zip(pack, ordered, strict=False)]
    whole = timed + pack[len(timed) :]

    assert [(type(m.value), *m) for m in read(senml.write_pack(whole))] == [
        (type(m.value), *m) for m in whole
    ]


def test_base_name_is_written_as_told() -> None:
    pack = [Measurement("ewz:m-004217:e", "J", 1, None)]

    payload = senml.write_pack(pack, base_name="ewz:m-004217:")

    assert cbor.decode(payload) == [{-2: "ewz:m-004217:", 0: "e", 1: "J", 2: 1}]


def test_far_apart_values_are_written_without_a_base() -> None:
    pack = [Measurement("e", None, -BIG, None), Measurement("e", None, BIG, None)]

    assert list(read(senml.write_pack(pack))) == pack


@pytest.mark.parametrize(
    "pack",
    [
        [],
        [Measurement("", None, 1, None)],
        [Measurement("e", "%", 1, None)],
        [Measurement("e", None, 1.5, None)],  # type: ignore[arg-type]
        [Measurement("e", None, None, None)],  # type: ignore[arg-type]
        [Measurement("e", None, (0, 1), None)],
        [Measurement("e", None, (1, 2, 3), None)],  # type: ignore[arg-type]
        [Measurement("e", None, 2**63, None)],
        [Measurement("e", None, 2**70, None)],
        [Measurement("e", None, 1, 5)],
        [Measurement("e", None, 1, "now")],  # type: ignore[arg-type]
        [Measurement("e", None, 1, NOW), Measurement("e", None, 1, NOW - 1)],
        [Measurement("e", None, 1, None)] * 257,
        [Measurement("e", None, "\ud800", None)],
    ],
)
def test_measurements_outside_the_profile_are_not_written(pack: list[Measurement]) -> None:
    with pytest.raises(Refused):
        senml.write_pack(pack)


def test_base_name_that_is_no_prefix_is_not_written() -> None:
    with pytest.raises(SenmlMalformed, match="no spelling"):
        senml.write_pack([Measurement("e", None, 1, None)], base_name="x:")


@pytest.mark.parametrize(
    ("a", "b", "order"),
    [
        (1, 2, -1),
        (2, 1, 1),
        (1, 1, 0),
        ((-1, 10), 1, 0),
        (1, (-9, 999_999_999), 1),
        ((-1, -5), 0, -1),
    ],
)
def test_numbers_compare_exactly(a: Number, b: Number, order: int) -> None:
    assert senml.compare(a, b) == order
    assert senml.compare(b, a) == -order


@pytest.mark.parametrize(
    ("value", "exponent", "scaled"),
    [
        (5, 0, 5),
        (5, -3, 5000),
        ((-3, 5000), 0, 5),
        ((-3, 5001), 0, None),
        ((-3, -5001), -3, -5001),
        ((-3, -5000), -1, -50),
        (1234, 2, None),
        (1200, 2, 12),
    ],
)
def test_scaling_is_exact_or_none(value: Number, exponent: int, scaled: int | None) -> None:
    assert senml.scale(value, exponent) == scaled


@pytest.mark.parametrize("seed", range(3))
def test_mutants_are_refused_with_a_typed_error_or_read(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(4000):
        mutant = bytearray(WORKED)
        for _ in range(rng.randint(1, 2)):
            mutant[rng.randrange(len(mutant))] = rng.randrange(256)
        try:
            pack = read(bytes(mutant))
        except Refused:
            continue
        assert read(senml.write_pack(pack)) == pack
