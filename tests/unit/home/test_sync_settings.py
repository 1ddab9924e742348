"""The `[sync]` table: nothing listens unless asked, peers by file or environment, every bound refused beyond."""

import pytest

from drystone.errors import ConfigInvalid
from drystone.home.config import parse_settings, sample

PEERS = """
[sync]
listen = "127.0.0.1:0"
[[sync.peers]]
name = "ewz/node-1"
address = "10.0.0.1:8421"
uplink = true
[[sync.peers]]
name = "ewz/gw-2"
"""


def test_nothing_listens_and_nobody_is_dialled_by_default() -> None:
    sync = parse_settings("", {}).sync
    assert (sync.listen, sync.peers, sync.bytes_s) == ("", (), 0)
    assert parse_settings(sample(), {}) == parse_settings("", {})


def test_peers_are_tables_of_the_file() -> None:
    peers = parse_settings(PEERS, {}).sync.peers
    assert [(one.name, one.address, one.uplink) for one in peers] == [
        ("ewz/node-1", "10.0.0.1:8421", True),
        ("ewz/gw-2", "", False),
    ]


def test_peers_come_from_the_environment_as_json() -> None:
    peers = '[{"name": "ewz/x", "address": "h:1"}]'
    read = parse_settings(PEERS, {"DRYSTONE__SYNC__PEERS": peers}).sync
    assert [one.name for one in read.peers] == ["ewz/x"]
    assert read.listen == "127.0.0.1:0"


@pytest.mark.parametrize(
    "text",
    [
        "[sync]\nlisten = 8421",
        "[sync]\nidle_s = 4",
        "[sync]\nlinks_max = 0",
        "[sync]\nlinks_max = 129",
        "[sync]\nbytes_s = -1",
        "[sync]\nplain = true",
        '[[sync.peers]]\naddress = "h:1"',
        '[[sync.peers]]\nname = "no-slash"',
        '[[sync.peers]]\nname = "a/b"\n[[sync.peers]]\nname = "a/b"',
        '[[sync.peers]]\nname = "a/b"\nkey = "x"',
        "".join(f'[[sync.peers]]\nname = "a/{n}"\n' for n in range(65)),
    ],
)
def test_what_is_no_setting_or_beyond_its_bound_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="sync"):
        parse_settings(text, {})


@pytest.mark.parametrize("value", ["", "[", "{}", "[1]", '"x"'])
def test_peers_of_the_environment_that_are_no_json_list_are_refused(value: str) -> None:
    with pytest.raises(ConfigInvalid, match="peers"):
        parse_settings("", {"DRYSTONE__SYNC__PEERS": value})
