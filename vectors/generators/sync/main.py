"""Write vectors/sync.json: sync messages as cbor2 encodes them from docs/spec/sync.cddl, and bytes that are none.

In an environment of its own: `pip install --no-deps -r requirements.txt && python main.py ../..`. Shares no code with
Drystone; what a message holds is written here by hand.
"""

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import cbor2


def h(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def enc(value: object) -> bytes:
    return cbor2.dumps(value, canonical=True)


LEDGER = h("ledger")
ENTRY = enc(
    ["drystone/block/1", 7, 1_762_340_400_000, h("state"), h("outcomes"), h("validators"), 1]
)
HELLO = [
    0,
    1,
    LEDGER,
    "ewz",
    "g-1",
    "gateway",
    1_762_340_400_000,
    ["bodies"],
    65_536,
    None,
    0,
    h("a")[:8],
]
POINT = [0, 9, h("v9")]
HEADS = ["ewz", "g-1", [POINT]]
FORKED = ["ewz", "g-2", [[0, 3, h("left")], [0, 5, h("right")], [1, 0, h("new")]]]
BLOCK = [
    ENTRY,
    10,
    13,
    [[h("v8"), 2], [h("v9"), 0]],
    enc([[2, 0], []]),
    True,
    b"note",
    [h("p0"), h("p1")],
]
OPEN = [ENTRY, 10, 13, [], b"", False, None, []]

VALID = [
    ("greeting of a gateway", HELLO),
    (
        "greeting of a node with a clock",
        [*HELLO[:5], "node", 2, ["blocks", "bodies"], 512, 1_762_340_400_000, 88, h("a")[:8]],
    ),
    ("empty frontier", [1, [], []]),
    ("frontier of two authors, one forked", [1, [HEADS, FORKED], [h("f")[:8]]]),
    ("question for a stretch", [2, 1, [["ewz", "g-1", 0, 0, 0, 9]], []]),
    (
        "question for a stretch through epochs, and for an id",
        [2, 2, [["ewz", "g-1", 0, 7, 3, 2**53 - 1]], [h("v")]],
    ),
    ("headers unasked", [3, 0, False, [b"header"]]),
    ("answer without headers", [3, 5, False, []]),
    ("answer cut short", [3, 5, True, [b"one", b"two"]]),
    ("question for bodies", [4, [[h("v8"), 0, 262_144], [h("v9"), 4_096, 4_096]]]),
    ("piece of a body", [5, h("v8"), 4_096, 4_100, b"tail"]),
    ("body that is not here", [5, h("v8"), 0, 0, b""]),
    ("body that is here now", [5, h("v8"), 0, 1, b""]),
    ("evidence", [6, b"evidence"]),
    ("announcement", [7, b"signed"]),
    ("question for blocks", [8, 6, 64]),
    ("a block", [9, 7, [BLOCK]]),
    ("no block", [9, 7, []]),
    ("question for rows", [10, b"", b"", b""]),
    ("question for rows that are held", [10, b"\x01", b"\x02", h("rows")]),
    ("rows", [11, b"\x01", 7, False, b"\x02", [[b"\x01\x01", b"a"], [b"\x02", b"b"]]]),
    ("rows that are the same", [11, b"\x01", 7, True, b"\x02", []]),
    ("the last rows", [11, b"\x01", 7, False, b"", [[b"\x09", b"z"]]]),
    ("no outcomes yet", [12, None]),
    ("outcomes up to a place", [12, [0, 9]]),
    ("outcomes", [13, [0, 9], [OPEN, BLOCK], False]),
    ("leave", [14, "disk-full", "no room"]),
    ("sign of life", [15, h("frontier")[:8], 88]),
    ("question for the frontier", [16]),
    ("part", [17, 0, False, b"half"]),
    ("longest numbers", [12, [2**32 - 1, 2**53 - 1]]),
]

MANY = ["ewz", "g-1", [[0, n, h("v")] for n in range(9)]]
INVALID = [
    ("nothing", b""),
    ("no array", enc({0: 1})),
    ("empty array", enc([])),
    ("unknown type", enc([99])),
    ("type as text", enc(["0"])),
    ("truth as type", enc([False])),
    ("a field too few", enc(HELLO[:-1])),
    ("a field too many", enc([*HELLO, 0])),
    ("bytes after the end", enc([16]) + b"\x00"),
    ("cut short", enc(HELLO)[:-1]),
    ("another spelling of a number", bytes.fromhex("8218") + bytes([16]) + b"\x00"),
    ("array of indefinite length", b"\x9f\x10\xff"),
    ("float", enc([8, 1.5, 1])),
    ("short ledger id", enc([*HELLO[:2], LEDGER[:31], *HELLO[3:]])),
    ("member that is no id", enc([*HELLO[:4], "-", *HELLO[5:]])),
    ("unknown role", enc([*HELLO[:5], "miner", *HELLO[6:]])),
    ("features that are not sorted", enc([*HELLO[:7], ["b", "a"], *HELLO[8:]])),
    ("feature that stands twice", enc([*HELLO[:7], ["a", "a"], *HELLO[8:]])),
    ("chunk beyond a message", enc([*HELLO[:8], 2**20 + 1, *HELLO[9:]])),
    ("negative height", enc([*HELLO[:10], -1, HELLO[11]])),
    ("author without a point", enc([1, [["ewz", "g-1", []]], []])),
    ("authors that are not sorted", enc([1, [FORKED, HEADS], []])),
    ("author that stands twice", enc([1, [HEADS, HEADS], []])),
    ("points that are not sorted", enc([1, [["ewz", "g-1", [POINT, [0, 1, h("v")]]]], []])),
    ("nine branches", enc([1, [MANY], []])),
    ("sequence beyond 2**53 - 1", enc([1, [["ewz", "g-1", [[0, 2**53, h("v")]]]], []])),
    ("epoch beyond 32 bits", enc([1, [["ewz", "g-1", [[2**32, 0, h("v")]]]], []])),
    ("fork digest of seven bytes", enc([1, [], [bytes(7)]])),
    ("stretch that ends before it begins", enc([2, 1, [["ewz", "g-1", 1, 0, 0, 9]], []])),
    ("too many stretches", enc([2, 1, [["ewz", "g-1", 0, 0, 0, 9]] * 65, []])),
    ("header too long", enc([3, 0, False, [bytes(1_025)]])),
    ("too many headers", enc([3, 0, False, [b""] * 1_025])),
    ("more as a number", enc([3, 0, 0, []])),
    ("too many bodies", enc([4, [[h("v"), 0, 1]] * 65])),
    ("offset beyond a body", enc([4, [[h("v"), 2**21, 1]]])),
    ("piece beyond its body", enc([5, h("v"), 10, 12, b"abc"])),
    ("piece without data", enc([5, h("v"), 10, 12, b""])),
    ("total beyond a body", enc([5, h("v"), 0, 2**21, b"a"])),
    ("announcement too long", enc([7, bytes(1_025)])),
    ("limit beyond a page", enc([8, 0, 1_001])),
    ("block entry that is none", enc([9, 7, [[b"entry", *BLOCK[1:]]]])),
    ("block that adds nothing to the log", enc([9, 7, [[ENTRY, 13, 13, *BLOCK[3:]]]])),
    ("vertex of too many records", enc([9, 7, [[*BLOCK[:3], [[h("v"), 2_049]], *BLOCK[4:]]]])),
    ("path too long", enc([9, 7, [[*BLOCK[:7], [h("p")] * 64]]])),
    ("path of short hashes", enc([9, 7, [[*BLOCK[:7], [bytes(31)]]]])),
    ("rows that are not sorted", enc([11, b"", 7, False, b"", [[b"b", b""], [b"a", b""]]])),
    ("row at the key asked behind", enc([11, b"a", 7, False, b"", [[b"a", b""]]])),
    ("rows beyond the last", enc([11, b"", 7, False, b"a", [[b"b", b""]]])),
    ("rows although they are the same", enc([11, b"", 7, True, b"b", [[b"b", b""]]])),
    ("key too long", enc([10, bytes(513), b"", b""])),
    ("place as one number", enc([12, 9])),
    ("code too long", enc([14, "x" * 201, ""])),
    ("text that is not UTF-8", b"\x83\x0e\x61\xff\x60"),
    ("digest of nine bytes", enc([15, bytes(9), 0])),
    ("tagged message", enc(cbor2.CBORTag(18, [16]))),
]


def main(root: Path) -> None:
    """Write the file."""
    found = {
        "comment": "Sync messages. `message` decodes to `items` (byte strings as {hex}) and encodes to the same bytes; "
        "each of `invalid` is refused with `error`.",
        "generator": "vectors/generators/sync (Python)",
        "command": "python main.py ../..",
        "programs": {"cbor2": f"{version('cbor2')}: bytes of the messages"},
        "valid": [
            {"name": name, "message": enc(items).hex(), "items": plain(items)}
            for name, items in VALID
        ],
        "invalid": [
            {"name": name, "message": data.hex(), "error": "message-malformed"}
            for name, data in INVALID
        ],
    }
    (root / "sync.json").write_text(json.dumps(found, indent=1) + "\n")


def plain(value: object) -> object:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


if __name__ == "__main__":
    main(Path(sys.argv[1]))
