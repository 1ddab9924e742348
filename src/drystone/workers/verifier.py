"""A verifier: form, signature and rights of whole requests, in a process that holds no secret and no file.

The front hands it CBOR sequences of records as they came from the network and gets back, in columns, the records that
are good, and for the others the code of the rule they break. What the state says of a sender comes from the front: the
verifier asks once per sender for the rows that `find_rights` reads, remembers them until the front says that they have
changed, and runs the very functions that `apply` runs. It knows nothing of streams or duplicates, and it decides
nothing: `apply` checks again. The one-process mode calls `Checker` in a thread instead.

Place in a record's life: between transport and intake. Source: design.md sections 4 and 7, `budget.md`.
"""

import gc
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias, cast

from drystone import limits
from drystone.errors import InvariantBroken, Refused, TooLarge
from drystone.formats import cbor
from drystone.ledger.rights import Rights, check_rights, find_rights
from drystone.records.record import Record, Verified, check_form, check_signature
from drystone.workers.channel import BlockingChannel
from drystone.workers.checked import Checked, Flaw, checked_to_plain, summarise

SenderName: TypeAlias = tuple[str, str, bytes, str | None]
"""Organisation, member, kid, and the device that the member attests."""

Rows: TypeAlias = dict[bytes, bytes | None]
"""State rows by key, None where there is none."""

Ask: TypeAlias = Callable[[list[SenderName]], tuple[int, Rows]]
"""Gives the rows that the rights of these senders hang on, and the registry's generation they are of."""

CHECK: Final = 0
"""Front to verifier: `(CHECK, number, sequence)`. Verifier to front: `(CHECK, number, checked)`."""

ROWS: Final = 1
"""Verifier to front: `(ROWS, [SenderName])`. Front to verifier: `(ROWS, generation, rows)`."""

FORGET: Final = 2
"""Front to verifier: `(FORGET, generation, members)`: rights of these (iss, sub) have changed; None: of all."""

DETAIL_LENGTH_MAX: Final = 300
"""Characters of a refusal's explanation that travel."""

log = logging.getLogger(__name__)


class Checker:
    """Checks requests by the rights it remembers; not to be shared between threads."""

    def __init__(self, ledger: bytes) -> None:
        self._ledger = ledger
        self._rights: dict[SenderName, Rights] = {}
        self._generation = 0

    def forget(self, generation: int, members: Iterable[tuple[str, str]] | None) -> None:
        """Ask for these members' rights again; None stands for everybody's."""
        self._generation = generation
        if members is None:
            self._rights.clear()
            return
        gone = set(members)
        for name in [name for name in self._rights if name[:2] in gone]:
            del self._rights[name]

    def check(self, sequence: bytes, ask: Ask) -> Checked:
        """Check form, sender, signature and rights of each record of a CBOR sequence.

        An item that ends nowhere swallows what follows it: it gets one refusal, and nothing after it is answered.
        Does not look at streams or duplicates. Never raises on anything the sequence holds.
        """
        raws, broken_off = _split(sequence)
        known = self._rights
        forms: list[Record | Refused] = []
        names: list[SenderName | None] = []
        strangers = False
        for raw in raws:
            try:
                form = check_form(raw)
            except Refused as error:
                forms.append(error)
                names.append(None)
                continue
            name = (form.iss, form.sub, form.kid, form.device)
            forms.append(form)
            names.append(name)
            strangers = strangers or name not in known
        if broken_off is not None:
            forms.append(broken_off)
            names.append(None)
        refused = self._learn(forms, names, ask) if strangers else {}
        good: list[Verified] = []
        flaws: list[Flaw] = []
        ledger = self._ledger
        for form, name in zip(forms, names, strict=True):
            try:
                if name is None:
                    raise cast("Refused", form)
                rights = known.get(name)
                if rights is None:
                    raise refused[name]
                record = cast("Record", form)  # Only a record has a name.
                verified = check_signature(record, rights.sender.key)
                check_rights(verified.record, rights, ledger)
            except Refused as error:
                number = len(good) + len(flaws)
                flaws.append(Flaw(number, error.code, str(error)[:DETAIL_LENGTH_MAX]))
            else:
                good.append(verified)
        return summarise(good, generation=self._generation, flaws=flaws)

    def _learn(
        self, forms: Sequence[Record | Refused], names: Sequence[SenderName | None], ask: Ask
    ) -> dict[SenderName, Refused]:
        """Look up the senders that are not remembered; give those that have no rights, with why not."""
        known = self._rights
        if len(known) > limits.VERIFIER_KEYS_MAX:
            known.clear()
        refused: dict[SenderName, Refused] = {}
        # While an answer is on its way others may have to be forgotten: hence the loop.
        while unknown := {
            name: form
            for form, name in zip(forms, names, strict=True)
            if name is not None and name not in known and name not in refused
        }:
            self._generation, rows = ask(list(unknown))
            view = _Rows(rows)
            for name, record in unknown.items():
                try:
                    known[name] = find_rights(view, cast("Record", record))
                except Refused as error:
                    refused[name] = error.with_traceback(None)
        return refused


class _Rows:
    """Some rows of the state, as a `Reader` (ledger/view.py)."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def get(self, key: bytes) -> bytes | None:
        """Return the value under a key that was asked for."""
        return self._rows[key]


def _split(sequence: bytes) -> tuple[list[bytes], Refused | None]:
    """Split a sequence into items; where it stops being CBOR, give the items before and the refusal."""
    raws: list[bytes] = []
    offset, size = 0, len(sequence)
    try:
        while offset < size:
            if len(raws) == limits.REQUEST_RECORDS_MAX:
                return raws, TooLarge(f"at most {limits.REQUEST_RECORDS_MAX} records at once")
            end = _usual_end(sequence, offset)
            if not offset < end <= size:
                end = cbor.item_end(sequence, offset)
            raws.append(sequence[offset:end])
            offset = end
    except Refused as error:
        return raws, error
    return raws, None


def _usual_end(data: bytes, at: int) -> int:
    """Give where the record ends that starts here, if its outside looks like most records'; else 0.

    A third of what the general way costs. Checks nothing: whatever is cut out has `check_form` before it.
    """
    try:
        if (
            data[at : at + 3] != b"\xd2\x84\x58"
        ):  # tag 18, an array of four, a header of 24 to 255 bytes
            return 0
        at += 4 + data[at + 3]
        head = data[at + 1]
        if data[at] != 0xA0:  # no unprotected header
            return 0
        if 0x40 <= head < 0x58:
            at += 2 + head - 0x40
        elif head == 0x58:
            at += 3 + data[at + 2]
        elif head == 0x59:
            at += 4 + int.from_bytes(data[at + 2 : at + 4])
        else:
            return 0
        return at + 66 if data[at : at + 2] == b"\x58\x40" else 0  # a signature of 64
    except IndexError:
        return 0


def serve(channel: BlockingChannel, checker: Checker) -> None:
    """Answer the front's requests until it closes the channel."""
    waiting: deque[tuple[Any, ...]] = deque()

    def ask(names: list[SenderName]) -> tuple[int, Rows]:
        channel.send((ROWS, names))
        while True:
            frame = channel.receive()
            if frame is None:
                raise SystemExit(0)
            if frame[0] == ROWS:
                return frame[1], frame[2]
            if frame[0] == FORGET:
                checker.forget(frame[1], frame[2])
            else:
                waiting.append(frame)

    while True:
        frame = waiting.popleft() if waiting else channel.receive()
        if frame is None:
            return
        if frame[0] == FORGET:
            checker.forget(frame[1], frame[2])
            continue
        _, number, sequence = frame
        try:
            checked = checker.check(sequence, ask)
        except Exception:
            # A defect of ours must not become a way to stop the node from outside: the request is refused, nothing of
            # it is stored, and the log says where it broke.
            log.exception("a request of %d bytes broke the verifier", len(sequence))
            flaw = Flaw(0, InvariantBroken.code, "the verifier failed on this request")
            checked = summarise([], generation=0, flaws=[flaw])
        channel.send((CHECK, number, checked_to_plain(checked)))


def main() -> None:
    """Run verifiers: arguments are a channel's descriptor, the ledger's id in hex, and more verifiers' descriptors."""
    # The front decides when to stop: it closes the channel.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.basicConfig(format="verifier: %(message)s")
    gc.freeze()
    gc.set_threshold(limits.GC_OBJECTS, 20, 20)
    descriptor, forked = _part(int(sys.argv[1]), [int(more) for more in sys.argv[3:]])
    channel = BlockingChannel(descriptor)
    channel.send(os.getpid())
    serve(channel, Checker(bytes.fromhex(sys.argv[2])))
    for pid in forked:
        os.waitpid(pid, 0)


def _part(own: int, others: list[int]) -> tuple[int, list[int]]:
    """Fork a verifier for each other descriptor, so that all share what was imported; give the own one and the forked.

    Nothing runs here yet but this thread, and nothing is open but these descriptors.
    """
    forked: list[int] = []
    for number, other in enumerate(others):
        pid = os.fork()
        if not pid:
            for descriptor in (own, *others[number + 1 :]):
                os.close(descriptor)
            return other, []
        forked.append(pid)
        os.close(other)
    return own, forked


if __name__ == "__main__":
    main()
