"""Readings under a contract, many at a time: how they cross, and what a handler may return."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from drystone.formats.senml import Measurement
from drystone.workshop.chain import Chain

PROFILE = """
[[profile]]
name = "all-kinds"
rule = "echo"
measurements = [
  { name = "n", unit = "Wh" }, { name = "text" }, { name = "flag" }, { name = "octets" }, { name = "plain" },
]
"""


def deployed(chain: Chain, folder: Path, handler: str) -> None:
    folder.joinpath("contract.toml").write_text(
        'name = "echo"\nversion = 1\n[reading]\nfunction = "on_reading"\n'
    )
    folder.joinpath("contract.star").write_text(handler)
    folder.joinpath("profiles.toml").write_text(PROFILE)
    chain.deploy(folder)


ECHO = """
def on_reading(ctx, old, record):
    seen = []
    for m in record:
        seen.append([m["name"], m["unit"] or "", m["value"], m["exponent"], m["time_ms"] or -1])
    return ({"seen": seen, "before": old["count"] if old else 0, "count": ctx["seq"]}, [])
"""


def test_every_kind_of_measurement_crosses_as_documented(chain: Chain, tmp_path: Path) -> None:
    deployed(chain, tmp_path, ECHO)
    time = 1_762_300_800
    chain.reading(
        chain.device("all-kinds", "d-1"),
        [
            Measurement("n", "Wh", 7, time),
            Measurement("text", None, 'a "quote"\n\u00e9', time),
            Measurement("flag", None, True, (-1, 10 * time + 5)),
            Measurement("octets", None, b"\x00\xff", (-9, (time + 1) * 10**9)),
            Measurement("plain", None, (-3, -12_345), time + 2),
        ],
    )
    assert chain.state("echo", "device/ewz/d-1")["seen"] == [
        ["n", "Wh", 7, 0, time * 1_000],
        ["text", "", 'a "quote"\n\u00e9', 0, time * 1_000],
        ["flag", "", True, 0, time * 1_000 + 500],
        ["octets", "", "00ff", 0, time * 1_000 + 1_000],
        ["plain", "", -12_345, -3, time * 1_000 + 2_000],
    ]
    chain.reading(chain.device("all-kinds", "d-2"), {"plain": 1}, at=None)
    assert chain.state("echo", "device/ewz/d-2")["seen"] == [["plain", "", 1, 0, -1]]


def test_value_kept_for_a_device_comes_back_at_its_next_reading(
    chain: Chain, tmp_path: Path
) -> None:
    deployed(chain, tmp_path, ECHO)
    device = chain.device("all-kinds", "d-1")
    for seq in range(3):
        chain.reading(device, {"plain": Decimal("1.5")})
        assert chain.state("echo", device)["before"] == max(seq - 1, 0)


@pytest.mark.parametrize(("count", "code"), [(64, "accepted"), (65, "contract-size")])
def test_handler_tells_so_many_events_and_no_more(
    chain: Chain, tmp_path: Path, count: int, code: str
) -> None:
    deployed(
        chain,
        tmp_path,
        "def on_reading(ctx, old, record):\n"
        f'    return ({{"n": 1}}, [("e", {{"n": n}}) for n in range({count})])\n',
    )
    device = chain.device("all-kinds", "d-1")
    values: dict[str, Any] = {"plain": 1}
    (outcome,) = chain.batch([(device, values)])
    assert outcome.code == code
    assert (chain.state("echo", device) is not None) == (code == "accepted")


def test_what_is_asked_by_name_is_what_the_whole_context_holds(
    chain: Chain, tmp_path: Path
) -> None:
    names = [
        "attested",
        "epoch",
        "gateway",
        "height",
        "iss",
        "placed",
        "record",
        "seq",
        "sub",
        "time_ms",
    ]
    asked = ", ".join([f'ctx["{name}"]' for name in [*names, "reads"]])
    deployed(
        chain,
        tmp_path,
        "def on_reading(ctx, old, record):\n"
        f"    asked = [{asked}]\n"
        '    return ({"asked": asked[:-1], "register": ctx["register"] == None}, [])\n',
    )
    own, spoken_for = (
        chain.device("all-kinds", "d-1"),
        chain.device("all-kinds", "d-2", attested=True),
    )
    for device, sub, attested in ((own, "d-1", False), (spoken_for, "d-2", True)):
        chain.reading(device, {"plain": 1})
        kept = chain.state("echo", device)
        found = dict(zip(names, kept["asked"], strict=True))
        assert len(found.pop("record")) == 64
        assert found == {
            "attested": attested, "epoch": device.epoch, "gateway": "ewz/g-1",
            "height": chain.world.view.height, "iss": "ewz", "placed": "next", "seq": 0, "sub": sub,
            "time_ms": chain.world.blocks[-1].time_ms,
        }  # fmt: skip
        assert kept["register"] is True


def test_value_too_large_for_the_state_is_refused_by_its_size(chain: Chain, tmp_path: Path) -> None:
    deployed(
        chain,
        tmp_path,
        'def on_reading(ctx, old, record):\n    return ({"t": "x" * 9000, "u": "y" * 9000}, [])\n',
    )
    device = chain.device("all-kinds", "d-1")
    values: dict[str, Any] = {"plain": 1}
    (outcome,) = chain.batch([(device, values)])
    assert outcome.code == "contract-size"
    assert chain.state("echo", device) is None
