"""The trust file: whom a verifier believes, decided by the person who verifies and by nobody else.

One JSON file names the log (`origin`), the ledger, the nodes' and witnesses' C2SP keys and how many of each must have
signed. It is the only input of a verification that is not checked against anything: whoever can change it can make
anything verify. So every member counts, an unknown one is refused, and every key gets the full check of an enrolment.
This file parses and writes; it reads no disk. Source: formats.md part B (`trust`); C2SP signed-note for vkeys.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, NoReturn, TypeAlias

from drystone import limits
from drystone.errors import DrystoneError, TrustMalformed
from drystone.formats import cose, note
from drystone.records import key

VERSION: Final = 1
Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | bool | None"

MEMBERS_NEEDED: Final = frozenset({"drystone-trust", "origin", "ledger", "nodes", "need"})
MEMBERS_OPTIONAL: Final = frozenset({"witnesses", "need-witnesses", "cometbft"})
LEDGER_BYTES: Final = 32
POWER_SUM_MAX: Final = 2**60
CHAIN_ID: Final = re.compile(r"[ -~]{1,50}")


class ValidatorPower(NamedTuple):
    """One CometBFT validator: its raw Ed25519 key and its voting power."""

    key: bytes
    power: int


class CometTrust(NamedTuple):
    """A CometBFT chain and the validator sets that may finalise its blocks."""

    chain_id: str
    sets: tuple[tuple[ValidatorPower, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whom to believe about one ledger: at least `need` of `nodes` and `need_witnesses` of `witnesses`."""

    origin: str
    ledger: bytes
    nodes: tuple[note.Verifier, ...]
    need: int
    witnesses: tuple[note.Verifier, ...] = ()
    need_witnesses: int = 0
    cometbft: CometTrust | None = None


def parse_trust(data: bytes) -> Trust:
    """Read a trust file strictly.

    Checks every member, that keys are on the curve and of prime order, that no key, kid or witness name stands twice,
    and that what is needed can be met. Does not check that the keys belong to anybody. Raises: TrustMalformed.
    """
    members = _load(data)
    missing = MEMBERS_NEEDED - members.keys()
    unknown = members.keys() - MEMBERS_NEEDED - MEMBERS_OPTIONAL
    if missing or unknown:
        raise TrustMalformed(
            f"missing members {sorted(missing)}, unknown members {sorted(unknown)}"
        )
    _integer(members, "drystone-trust", lowest=VERSION, highest=VERSION)
    origin = _text(members["origin"], "origin")
    nodes = _verifiers(members["nodes"], "nodes", type_wanted=note.TYPE_ED25519)
    witnesses = _verifiers(
        members.get("witnesses", []), "witnesses", type_wanted=note.TYPE_COSIGNATURE
    )
    _check_signers(origin, nodes, witnesses)
    return Trust(
        origin=origin,
        ledger=_hexadecimal(members["ledger"], "ledger", length=LEDGER_BYTES),
        nodes=nodes,
        need=_integer(members, "need", lowest=1, highest=len(nodes)),
        witnesses=witnesses,
        need_witnesses=_integer(members, "need-witnesses", lowest=0, highest=len(witnesses)),
        cometbft=_comet(members["cometbft"]) if "cometbft" in members else None,
    )


def format_trust(trust: Trust) -> bytes:
    """Return the file for `trust`: the same value always gives the same bytes, `parse_trust` gives it back."""
    members: dict[str, Json] = {
        "drystone-trust": VERSION,
        "origin": trust.origin,
        "ledger": trust.ledger.hex(),
        "nodes": [_vkey(verifier) for verifier in trust.nodes],
        "need": trust.need,
    }
    if trust.witnesses:
        members["witnesses"] = [_vkey(verifier) for verifier in trust.witnesses]
        members["need-witnesses"] = trust.need_witnesses
    if trust.cometbft is not None:
        members["cometbft"] = {
            "chain-id": trust.cometbft.chain_id,
            "sets": [
                [[validator.key.hex(), validator.power] for validator in validators]
                for validators in trust.cometbft.sets
            ],
        }
    return (json.dumps(members, indent=2, ensure_ascii=False) + "\n").encode()


def node_key(verifier: note.Verifier) -> key.PublicKey:
    """Return a node's note key as the key that also signs its COSE receipts."""
    return key.PublicKey(cose.ALG_EDDSA, verifier.key)


def _load(data: bytes) -> dict[str, Json]:
    if len(data) > limits.TRUST_BYTES_MAX:
        raise TrustMalformed(f"{len(data)} bytes, at most {limits.TRUST_BYTES_MAX}")
    try:
        value: Json = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_members,
            parse_float=_refuse("a number with a fraction or exponent"),
            parse_constant=_refuse("a constant that is no JSON"),
        )
    except (ValueError, RecursionError) as error:
        raise TrustMalformed(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise TrustMalformed("expected one JSON object")
    return value


def _members(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise TrustMalformed("a member stands twice")
    return members


def _refuse(what: str) -> Callable[[str], NoReturn]:
    def refuse(_text: str) -> NoReturn:
        raise TrustMalformed(what)

    return refuse


def _text(value: Json, name: str) -> str:
    if not isinstance(value, str):
        raise TrustMalformed(f"{name}: expected text")
    return value


def _hexadecimal(value: Json, name: str, *, length: int) -> bytes:
    text = _text(value, name)
    if len(text) != 2 * length or text.strip("0123456789abcdef"):
        raise TrustMalformed(f"{name}: expected {2 * length} lower-case hexadecimal digits")
    return bytes.fromhex(text)


def _integer(members: dict[str, Json], name: str, *, lowest: int, highest: int) -> int:
    value = members.get(name, 0)
    if type(value) is not int or not lowest <= value <= highest:
        raise TrustMalformed(f"{name}: expected an integer from {lowest} to {highest}")
    return value


def _verifiers(value: Json, name: str, *, type_wanted: int) -> tuple[note.Verifier, ...]:
    if not isinstance(value, list) or len(value) > limits.NOTE_SIGNATURES_MAX:
        raise TrustMalformed(f"{name}: expected at most {limits.NOTE_SIGNATURES_MAX} keys")
    return tuple(_verifier(text, name, type_wanted=type_wanted) for text in value)


def _verifier(value: Json, name: str, *, type_wanted: int) -> note.Verifier:
    try:
        verifier = note.parse_vkey(_text(value, name))
        if verifier.type != type_wanted:
            raise TrustMalformed(f"{name}: key of type {verifier.type}, expected {type_wanted}")
        key.parse_cose_key(node_key(verifier).cose_key())
    except DrystoneError as error:
        raise TrustMalformed(f"{name}: {error}") from error
    return verifier


def _check_signers(
    origin: str, nodes: tuple[note.Verifier, ...], witnesses: tuple[note.Verifier, ...]
) -> None:
    """A cosignature does not cover its name and a node's line not its place: each key may stand once."""
    if any(verifier.name != origin for verifier in nodes):
        raise TrustMalformed("nodes: a node's key carries another name than the origin")
    names = [verifier.name for verifier in witnesses]
    keys = [verifier.key for verifier in (*nodes, *witnesses)]
    kids = [node_key(verifier).kid() for verifier in nodes]
    lines = [(verifier.name, verifier.key_id) for verifier in (*nodes, *witnesses)]
    if any(len(set(values)) != len(values) for values in (names, keys, kids, lines)):
        raise TrustMalformed("a key, key id or witness name stands twice")


def _comet(value: Json) -> CometTrust:
    if not isinstance(value, dict) or value.keys() != {"chain-id", "sets"}:
        raise TrustMalformed("cometbft: expected chain-id and sets")
    chain_id = _text(value["chain-id"], "chain-id")
    sets = value["sets"]
    if not CHAIN_ID.fullmatch(chain_id):
        raise TrustMalformed("cometbft: a chain-id is 1 to 50 printable ASCII characters")
    if not isinstance(sets, list) or not sets:
        raise TrustMalformed("cometbft: no validator set")
    return CometTrust(chain_id, tuple(_validator_set(validators) for validators in sets))


def _validator_set(value: Json) -> tuple[ValidatorPower, ...]:
    if not isinstance(value, list) or not value:
        raise TrustMalformed("cometbft: expected a list of validators")
    validators: list[ValidatorPower] = []
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2 or type(pair[1]) is not int or pair[1] < 1:
            raise TrustMalformed("cometbft: expected [key, power] with a power of at least 1")
        validators.append(
            ValidatorPower(_hexadecimal(pair[0], "cometbft", length=note.KEY_BYTES), pair[1])
        )
    if len({validator.key for validator in validators}) != len(validators):
        raise TrustMalformed("cometbft: a validator stands twice")
    if sum(validator.power for validator in validators) > POWER_SUM_MAX:
        raise TrustMalformed("cometbft: powers too large")
    return tuple(validators)


def _vkey(verifier: note.Verifier) -> str:
    return note.format_vkey(verifier.name, verifier.type, verifier.key)
