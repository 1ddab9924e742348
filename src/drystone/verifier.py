"""A verifier: strict parse and signature check of whole batches, in a process that holds no secret and no file.

The front hands it CBOR sequences of records as they came from the network and gets, per record, the parsed record
with the key it was verified against, or the code of the rule it breaks. Public keys come from the front, which knows
the ledger: the verifier asks once per (iss, sub, kid) and remembers, because such a name means one key for ever.
It knows nothing of rights, streams or duplicates. The one-process mode calls `Checker` in a thread instead.

Place in a record's life: between transport and intake. Source: design.md sections 4 and 7, `budget.md`.
"""

import gc
import logging
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from drystone import limits
from drystone.channel import BlockingChannel
from drystone.errors import InvariantBroken, Refused, TooLarge
from drystone.formats import cbor
from drystone.records.key import PublicKey, trusted_cose_key
from drystone.records.record import Record, check_form, check_signature, travelling

KeyName: TypeAlias = tuple[str, str, bytes]
"""Organisation, member and kid: one key for ever."""

Checked: TypeAlias = tuple[Any, ...]
"""`travelling(record)` of a record verified against the key that its name stands for, or `(code, detail)`."""

FLAW_LENGTH: Final = 2
"""Items of a refusal; a record has many more."""

Ask: TypeAlias = Callable[[list[KeyName]], Sequence[bytes | str]]
"""Gives, per name, the key's COSE_Key bytes, or the code that says why there is none."""

CHECK: Final = 0
"""Front to verifier: `(CHECK, number, sequence)`. Verifier to front: `(CHECK, number, [Checked])`."""

KEYS: Final = 1
"""Verifier to front: `(KEYS, [KeyName])`. Front to verifier: `(KEYS, [key or code])`, in order."""

DETAIL_LENGTH_MAX: Final = 300
"""Characters of a refusal's explanation that travel."""

log = logging.getLogger(__name__)


class Checker:
    """Checks batches against the keys it remembers; not to be shared between threads."""

    def __init__(self) -> None:
        self._keys: dict[KeyName, PublicKey] = {}

    def check(self, sequence: bytes, ask: Ask) -> list[Checked]:
        """Check the form and the signature of each record of a CBOR sequence, in order.

        An item that ends nowhere swallows what follows it: it gets one refusal, and nothing after it is answered.
        Checks neither rights nor duplicates. Never raises on anything the sequence holds.
        """
        forms: list[Record | tuple[str, str]] = []
        names: dict[KeyName, None] = {}
        known = self._keys
        if len(known) > limits.VERIFIER_KEYS_MAX:
            known.clear()
        raws, broken_off = _split(sequence)
        for raw in raws:
            try:
                record = check_form(raw)
            except Refused as error:
                forms.append(flaw(error))
                continue
            forms.append(record)
            name = (record.iss, record.sub, record.kid)
            if name not in known:
                names[name] = None
        if broken_off is not None:
            forms.append(flaw(broken_off))
        unknown = self._learn(list(names), ask) if names else {}
        checked: list[Checked] = []
        for form in forms:
            if not isinstance(form, Record):
                checked.append(form)
                continue
            name = (form.iss, form.sub, form.kid)
            key = known.get(name)
            if key is None:
                checked.append((unknown[name], f"{form.iss}/{form.sub}, kid {form.kid.hex()}"))
                continue
            try:
                check_signature(form, key)
            except Refused as error:
                checked.append(flaw(error))
                continue
            checked.append(travelling(form))
        return checked

    def _learn(self, names: list[KeyName], ask: Ask) -> dict[KeyName, str]:
        """Ask for keys, remember those that exist, give the codes of the others (asked again next time)."""
        unknown: dict[KeyName, str] = {}
        for name, key in zip(names, ask(names), strict=True):
            if isinstance(key, str):
                unknown[name] = key
            else:
                self._keys[name] = trusted_cose_key(key)
        return unknown


def _split(sequence: bytes) -> tuple[list[bytes], Refused | None]:
    """Split a sequence into items; where it stops being CBOR, give the items before and the refusal."""
    try:
        return cbor.split_sequence(sequence, items_max=limits.REQUEST_RECORDS_MAX), None
    except Refused:
        pass  # The slower way below finds where it breaks off.
    raws: list[bytes] = []
    offset = 0
    try:
        while offset < len(sequence):
            if len(raws) == limits.REQUEST_RECORDS_MAX:
                return raws, TooLarge(f"at most {limits.REQUEST_RECORDS_MAX} records at once")
            end = cbor.item_end(sequence, offset)
            raws.append(sequence[offset:end])
            offset = end
    except Refused as error:
        return raws, error
    return raws, None


def flaw(error: Refused) -> tuple[str, str]:
    """Give a refusal as it travels: its code and a bounded explanation."""
    return error.code, str(error)[:DETAIL_LENGTH_MAX]


def serve(channel: BlockingChannel) -> None:
    """Answer the front's batches until it closes the channel."""
    checker = Checker()
    waiting: deque[tuple[int, int, bytes]] = deque()

    def ask(names: list[KeyName]) -> Sequence[bytes | str]:
        channel.send((KEYS, names))
        while True:
            frame = channel.receive()
            if frame is None:
                raise SystemExit(0)
            if frame[0] == KEYS:
                return frame[1]
            waiting.append(frame)

    while True:
        frame = waiting.popleft() if waiting else channel.receive()
        if frame is None:
            return
        _, number, sequence = frame
        try:
            checked = checker.check(sequence, ask)
        except Exception:
            # A defect of ours must not become a way to stop the node from outside: the batch is refused, nothing of
            # it is stored, and the log says where it broke.
            log.exception("a batch of %d bytes broke the verifier", len(sequence))
            checked = [(InvariantBroken.code, "the verifier failed on this batch")]
        channel.send((CHECK, number, checked))


def main() -> None:
    """Run a verifier on the socket whose descriptor is the only argument."""
    # The front decides when to stop: it closes the channel.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.basicConfig(format="verifier: %(message)s")
    gc.freeze()
    gc.set_threshold(limits.GC_OBJECTS, 20, 20)
    serve(BlockingChannel(int(sys.argv[1])))


if __name__ == "__main__":
    main()
