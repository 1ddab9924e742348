"""Write vectors/senml.json: packs, what they resolve to, and packs that Drystone's profile refuses.

cbor2 encodes the packs (their labels take one byte each, so its order by length is the order by bytes, too); the
package senml of eistec resolves them as JSON. It needs neither of its dependencies beside attrs. In an environment of
its own: `pip install --no-deps -r requirements.txt && python main.py ../..`. Shares no code with Drystone.
"""

import json
import sys
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import cbor2
from senml import SenMLDocument

NAMES = {
    -6: "bs", -5: "bv", -4: "bu", -3: "bt", -2: "bn", -1: "bver",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip
NOW = 1762340400


def tag4(exponent: int, mantissa: int) -> cbor2.CBORTag:
    return cbor2.CBORTag(4, [exponent, mantissa])


METER = [{0: "e", 1: "Wh", 2: 48211337, 6: NOW, -1: 26}]
QUARTERS = [{-2: "e", -3: NOW, -4: "Wh", -5: 48211337, -1: 26, 2: 0}]
QUARTERS += [{2: 37 * i, 6: 900 * i} for i in range(1, 96)]
MODULE = [{-2: "cell:", -3: NOW, -4: "V", 0: "1", 2: tag4(-1, 35)}]
MODULE += [{0: str(i), 2: tag4(-2, 325 + 25 * i)} for i in range(2, 9)]
VALID = [
    ("worked record's pack", METER),
    ("no unit", [{0: "e", 2: 48211337, 6: NOW}]),
    ("no time", [{0: "e", 1: "J", 2: 1}]),
    ("a day of quarter hours", QUARTERS),
    ("a battery module", MODULE),
    ("several quantities at one time", [
        {-3: NOW, 0: "u", 1: "V", 2: 230}, {0: "i", 1: "A", 2: 5}, {0: "p", 1: "W", 2: -1150},
        {0: "f", 1: "Hz", 2: 50}, {0: "rh", 1: "%RH", 2: 40}, {0: "soc", 1: "%EL", 2: 99},
    ]),
    ("falling base value", [{-5: 1000, -2: "e", 2: -1}, {2: -2}, {2: -1000}]),
    ("own unit beside a base unit", [{-4: "V", 0: "u", 2: 230}, {0: "i", 1: "A", 2: 1}]),
    ("text, truth, bytes", [{0: "a", 3: "on"}, {0: "b", 4: True}, {0: "c", 4: False}, {0: "d", 8: b"\0\xff"}]),
    ("text beside a base value", [{-5: 5, 0: "a", 3: "on"}, {0: "b", 2: 1}]),
    ("decimal fraction and base value", [{-5: 20, 0: "t", 1: "Cel", 2: tag4(-1, 15)}, {0: "t", 2: tag4(-2, -25)}]),
    ("decimal base value and integer", [{-5: tag4(-1, 5), 0: "t", 2: 3}]),
    ("decimal time", [{0: "e", 2: 1, 6: tag4(-1, NOW * 10 + 5)}, {0: "e", 2: 1, 6: tag4(-2, NOW * 100 + 75)}]),
    ("time zero beside a base time", [{-3: NOW, 0: "e", 2: 1, 6: 0}]),
    ("negative time beside a base time", [{-3: NOW, 0: "e", 2: 1, 6: -60}, {0: "e", 2: 1}]),
    ("earliest absolute time", [{0: "e", 2: 1, 6: 2**28}]),
    ("equal times", [{0: "e", 2: 1, 6: NOW}, {0: "f", 2: 1, 6: NOW}]),
    ("percent as /100", [{0: "x", 1: "/100", 2: 50, -1: 26}]),
    ("ratio", [{0: "x", 1: "/", 2: tag4(-1, 5)}]),
    ("version 26 without need", [{0: "x", 1: "J", 2: 1, -1: 26}]),
    ("name of 64 characters", [{-2: "a" * 40, 0: "b" * 24, 2: 1}]),
    ("all characters of names", [{0: "Az09-:./_", 2: 1}]),
    ("base name alone", [{-2: "e", 2: 1}]),
    ("256 records", [{-2: "e", 2: 0}] + [{2: i} for i in range(255)]),
]  # fmt: skip
INVALID = [
    ("no records", [], "senml-malformed"),
    ("257 records", [{0: "e", 2: 1}] * 257, "senml-malformed"),
    ("a map", {0: "e", 2: 1}, "senml-malformed"),
    ("a record that is a list", [[0, "e"]], "senml-malformed"),
    ("no value", [{0: "e"}], "senml-malformed"),
    ("two values", [{0: "e", 2: 1, 3: "x"}], "senml-malformed"),
    ("sum", [{0: "e", 2: 1, 5: 10}], "senml-malformed"),
    ("sum alone", [{0: "e", 5: 10}], "senml-malformed"),
    ("base sum", [{0: "e", 2: 1, -6: 10}], "senml-malformed"),
    ("update time", [{0: "e", 2: 1, 7: 60}], "senml-malformed"),
    ("unknown label", [{0: "e", 2: 1, "x": 1}], "senml-malformed"),
    ("unknown label that must be understood", [{0: "e", 2: 1, "x_": 1}], "senml-malformed"),
    ("version 10 spelt out", [{0: "e", 2: 1, -1: 10}], "senml-malformed"),
    ("version 27", [{0: "e", 2: 1, -1: 27}], "senml-malformed"),
    ("version in the second record", [{0: "e", 2: 1}, {0: "e", 2: 1, -1: 26}], "senml-malformed"),
    ("number as truth value", [{0: "e", 4: 1}], "senml-malformed"),
    ("truth value as number", [{0: "e", 2: True}], "senml-malformed"),
    ("text as number", [{0: "e", 2: "1"}], "senml-malformed"),
    ("fraction of exponent 0", [{0: "e", 2: tag4(0, 1)}], "senml-malformed"),
    ("fraction of exponent 1", [{0: "e", 2: tag4(1, 1)}], "senml-malformed"),
    ("fraction of exponent -10", [{0: "e", 2: tag4(-10, 1)}], "senml-malformed"),
    ("number of 64 bits", [{0: "e", 2: 2**63}], "senml-malformed"),
    ("sum with the base of 64 bits", [{0: "e", 2: 2**63 - 1, -5: 1}], "senml-malformed"),
    ("bignum", [{0: "e", 2: 2**64}], "cbor-unsupported"),
    ("float", [{0: "e", 2: 1.5}], "cbor-unsupported"),
    ("float that is whole", [{0: "e", 2: 1.0}], "cbor-unsupported"),
    ("float as time", [{0: "e", 2: 1, 6: float(NOW)}], "cbor-unsupported"),
    ("time zero", [{0: "e", 2: 1, 6: 0}], "senml-time-relative"),
    ("time before now", [{0: "e", 2: 1, 6: -5}], "senml-time-relative"),
    ("latest relative time", [{0: "e", 2: 1, 6: 2**28 - 1}], "senml-time-relative"),
    ("relative base time", [{-3: 5, 0: "e", 2: 1, 6: 5}], "senml-time-relative"),
    ("falling time", [{0: "e", 2: 1, 6: NOW}, {0: "e", 2: 1, 6: NOW - 1}], "senml-time-falling"),
    ("time before the base time's", [{-3: NOW, 0: "e", 2: 1}, {0: "e", 2: 1, 6: -1}], "senml-time-falling"),
    ("no name", [{2: 1}], "senml-name"),
    ("empty name", [{0: "", 2: 1}], "senml-name"),
    ("name of 65 characters", [{-2: "a" * 40, 0: "b" * 25, 2: 1}], "senml-name"),
    ("name that starts with a dash", [{0: "-e", 2: 1}], "senml-name"),
    ("name with a space", [{0: "a b", 2: 1}], "senml-name"),
    ("name with an umlaut", [{0: "w\u00e4rme", 2: 1}], "senml-name"),
    ("Wh without version 26", [{0: "e", 1: "Wh", 2: 1}], "senml-unit"),
    ("Wh as base unit without version 26", [{-4: "Wh", 0: "e", 2: 1}], "senml-unit"),
    ("/100 without version 26", [{0: "e", 1: "/100", 2: 1}], "senml-unit"),
    ("%", [{0: "e", 1: "%", 2: 1}], "senml-unit"),
    ("% with version 26", [{0: "e", 1: "%", 2: 1, -1: 26}], "senml-unit"),
    ("MWh", [{0: "e", 1: "MWh", 2: 1, -1: 26}], "senml-unit"),
    ("degC", [{0: "e", 1: "degC", 2: 1}], "senml-unit"),
    ("empty unit", [{0: "e", 1: "", 2: 1}], "senml-unit"),
]  # fmt: skip
RAW = [
    ("indefinite array", "9fa20061650201ff", "cbor-not-deterministic"),
    ("labels out of order", "81a20201006165", "cbor-not-deterministic"),
    ("label twice", "81a300616500616502 01", "cbor-not-deterministic"),
    ("base label first, as in the RFC's example", "81a3216165020120181a", "cbor-not-deterministic"),
    ("long integer", "81a200616502 1801", "cbor-not-deterministic"),
    ("cut", "81a2006165", "cbor-malformed"),
    ("byte after the end", "81a2006165020100", "cbor-malformed"),
]


def as_json(pack: object) -> list[dict[str, object]]:
    def plain(value: object) -> object:
        if isinstance(value, cbor2.CBORTag):
            exponent, mantissa = value.value
            return float(Fraction(mantissa) * Fraction(10) ** exponent)
        return value

    return [{NAMES.get(k, str(k)): plain(v) for k, v in entry.items()} for entry in pack]


def resolve(pack: object) -> list[list[object]]:
    document = SenMLDocument.from_json(as_json(pack))
    found = [measurement.to_absolute(document.base) for measurement in document.measurements]
    return [[m.name, m.unit, spell(m.value), spell(m.time)] for m in found]


def spell(value: object) -> object:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def verdict(pack: object) -> str:
    try:
        return f"resolves: {json.dumps(resolve(pack)[:2])}"
    except Exception as error:  # whatever a foreign program does with bad input is its verdict
        return f"fails: {type(error).__name__}"


def main(folder: Path) -> None:
    valid = [
        {
            "name": name,
            "pack": cbor2.dumps(pack, canonical=True).hex(),
            "measurements": resolve(pack),
        }
        for name, pack in VALID
    ]
    invalid = [
        {
            "name": name,
            "pack": cbor2.dumps(pack, canonical=True).hex(),
            "error": code,
            "foreign": verdict(pack),
        }
        for name, pack, code in INVALID
    ]
    for name, text, code in RAW:
        raw = bytes.fromhex(text)
        try:
            foreign = verdict(cbor2.loads(raw))
        except cbor2.CBORDecodeError as error:
            foreign = f"fails: {type(error).__name__}"
        invalid.append({"name": name, "pack": raw.hex(), "error": code, "foreign": foreign})
    suite = {
        "comment": "SenML packs in Drystone's profile. `measurements`: name, unit, value (`hex`: bytes), time (0: none "
        "claimed), resolved by the foreign program from the same pack as JSON. `foreign` is what it makes of a pack that "
        "the profile refuses: most of these are good SenML elsewhere.",
        "generator": "vectors/generators/senml (Python)",
        "command": "python main.py ../..",
        "programs": {
            "senml": f"{version('senml')} (eistec): resolved measurements, verdicts",
            "cbor2": f"{version('cbor2')}: bytes of the packs",
        },
        "valid": valid,
        "invalid": invalid,
    }
    text = json.dumps(suite, indent=1, ensure_ascii=False)
    (folder / "senml.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
