"""A street of meters for load: keys, enrolment calls, and signed readings, made fast and in parallel.

Readings are the worked record of formats.md (136 bytes: name, watt-hours, time), or a load curve of many minutes. They
are put together by hand because the bench needs a million of them; the first of each meter goes by the strict reader.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

from nacl.bindings import crypto_sign

from drystone.formats import cbor, cose
from drystone.formats.cose import sig_structure
from drystone.records.key import SecretKey
from drystone.records.record import check_form, enrolment_proof

ORGANISATION = "ewz"
PROFILE = "meter"
TIME_S = 1_762_340_400
ENROL_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Street:
    """`count` meters, named and keyed by their number."""

    count: int

    def members(self, first: int, ledger: bytes) -> list[dict[str, object]]:
        """Arguments of one `registry.enrol` call for the meters from `first` on."""
        members: list[dict[str, object]] = []
        for number in range(first, min(first + ENROL_AT_ONCE, self.count)):
            name = name_of(number)
            proof = enrolment_proof(
                secret=secret_of(number), iss=ORGANISATION, sub=name, ledger=ledger
            )
            members.append({"sub": name, "proof": proof.hex(), "profile": PROFILE})
        return members


def name_of(number: int) -> str:
    """Id of a meter."""
    return f"m-{number:06}"


@lru_cache(maxsize=4_096)
def secret_of(number: int) -> SecretKey:
    """Key of a meter."""
    entropy = hashlib.sha256(f"bench meter {number}".encode()).digest()
    return SecretKey.generate(cose.ALG_EDDSA, entropy)


def pack(seq: int, measurements: int) -> bytes:
    """One reading of the register, or a load curve: one value a minute, spelt as small as SenML allows."""
    value = 48_211_337 + 61 * measurements * seq
    time_s = TIME_S + 900 * seq
    if measurements == 1:
        return cbor.encode([{-1: 26, 0: "e", 1: "Wh", 2: value, 6: time_s}])
    first = {-1: 26, -2: "e", -3: TIME_S + 60 * measurements * seq, -4: "Wh", -5: value, 2: 0}
    return cbor.encode([first, *({2: 61 * n, 6: 60 * n} for n in range(1, measurements))])


@lru_cache(maxsize=4_096)
def header_start(number: int) -> bytes:
    """The protected header of a meter's records up to the sequence number."""
    return (
        b"\xa5\x01\x27\x03\x18\x70\x04\x44" + secret_of(number).public.kid() + b"\x0f"
        + cbor.encode({1: ORGANISATION, 2: name_of(number)}) + b"\x3a\x00\x01\x11\x70\x82\x00"
    )  # fmt: skip


def join(protected: bytes, payload: bytes, signature: bytes) -> bytes:
    """A record out of its parts."""
    return (
        b"\xd2\x84" + cbor.head(2, len(protected)) + protected + b"\xa0"
        + cbor.head(2, len(payload)) + payload + b"\x58\x40" + signature
    )  # fmt: skip


def unsigned(number: int, seq: int) -> bytes:
    """A reading with zeros for a signature, for whoever is told that it was verified."""
    return join(header_start(number) + cbor.head(0, seq), pack(seq, 1), bytes(64))


def _stream(
    number: int, first_seq: int, count: int, measurements: int
) -> tuple[list[bytes], list[bytes], bytes]:
    """Records `first_seq` on of one meter, what PyNaCl verifies of each, and the public key."""
    key = secret_of(number)
    seed, public = key.to_bytes(), key.public.raw
    start = header_start(number)
    records: list[bytes] = []
    signed: list[bytes] = []
    for seq in range(first_seq, first_seq + count):
        protected = start + cbor.head(0, seq)
        payload = pack(seq, measurements)
        opened = crypto_sign(sig_structure(protected, payload), seed + public)
        signed.append(opened)
        records.append(join(protected, payload, opened[:64]))
    if first_seq == 0:
        check_form(records[0])
    return records, signed, public


def _streams(task: tuple[range, int, int, int]) -> list[tuple[list[bytes], list[bytes], bytes]]:
    numbers, first_seq, count, measurements = task
    return [_stream(number, first_seq, count, measurements) for number in numbers]


@dataclass(frozen=True, slots=True)
class Load:
    """Signed readings in the order in which they are sent: every meter once, then every meter again."""

    records: Sequence[bytes]
    signed: Sequence[tuple[bytes, bytes]]
    """Per record signature and message as `crypto_sign_open` takes them, and the public key."""

    @property
    def size(self) -> int:
        """Their bytes on the wire, without HTTP."""
        return sum(map(len, self.records))


def make_load(
    street: Street, *, first_seq: int, per_meter: int, processes: int, measurements: int = 1
) -> Load:
    """Sign `per_meter` readings of every meter, from sequence `first_seq` on."""
    size = max(1, min(500, street.count // processes))
    tasks = [
        (range(first, min(first + size, street.count)), first_seq, per_meter, measurements)
        for first in range(0, street.count, size)
    ]
    with ProcessPoolExecutor(processes) as pool:
        streams = [stream for part in pool.map(_streams, tasks) for stream in part]
    rounds = range(per_meter)
    return Load(
        [records[turn] for turn in rounds for records, _, _ in streams],
        [(signed[turn], public) for turn in rounds for _, signed, public in streams],
    )
