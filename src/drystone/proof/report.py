"""A verdict in plain words and as JSON: what is proved, what is not, and every figure behind it.

Only words live here. They say nothing that the verdict does not hold, and they say openly what no receipt can prove:
that a meter measures right, that a claimed time is true. The page in the browser uses the same sentences. The last
station of a record's life: a person reads it. Source: design.md section 4 (what the ledger proves about time).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Final, TypeAlias, cast

from drystone.errors import Refused
from drystone.formats import cbor
from drystone.proof import moments
from drystone.proof.moments import unix_time
from drystone.proof.verdict import (
    ForkFacts,
    Inclusion,
    Range,
    RecordFacts,
    SignatureFacts,
    StateFacts,
    StretchFacts,
    Verdict,
)

KEY_STATUS_NAMES: Final = ("active", "retired", "revoked")
ROWS_MAX: Final = 20
SPACE_NAMES: Final = (
    *("meta", "organisation", "member", "key", "stream", "profile", "head", "contract"),
    *("contract data", "governance", "group", "evidence"),
)
"""What stands where in the state, as `ledger/keyspace.py` numbers it."""
Json: TypeAlias = "dict[str, Json] | Sequence[Json] | str | int | bool | None"


def headline(verdict: Verdict) -> str:
    """Return the one sentence that says what was verified."""
    if verdict.record is not None:
        record, place = verdict.record, verdict.inclusions[0]
        return (
            f"Verified: {verdict.origin} accepted this {_kind(record)} of {_sender(record)}"
            f" as entry {place.index:,} of its log."
        )
    if verdict.stretch is not None:
        stretch = verdict.stretch
        return (
            f"Verified: {verdict.origin} accepted exactly {_count(len(stretch.items), 'record')}"
            f" of {_stream(stretch)} {_span(stretch)}."
        )
    state = _state(verdict)
    presence = "held this value" if state.value is not None else "held no value"
    return f"Verified: {verdict.origin} {presence} under this state key at block {state.height:,}."


def proved(verdict: Verdict) -> list[str]:
    """Return what the file proves to somebody who believes the trust file, in whole sentences."""
    last = verdict.inclusions[-1]
    sentences = [_sentence_signers(last)]
    if verdict.record is not None:
        sentences.insert(
            0,
            f"The log holds exactly these bytes as entry {last.index:,} (counted from 0). Not one bit"
            " of the record can change without breaking this proof.",
        )
        if verdict.signature is not None and verdict.signature.key is not None:
            sentences.append(_sentence_signature(verdict.signature, verdict.signature.key))
        sentences += moments.sentences(verdict)
    elif verdict.stretch is not None:
        sentences.insert(0, _sentence_stretch(verdict.stretch))
        sentences.append(_sentence_gaps(verdict.stretch.gaps))
        sentences += [_sentence_fork(fork) for fork in verdict.stretch.forks]
    else:
        sentences.insert(0, _sentence_state(_state(verdict)))
    times = [signer.time_s for signer in last.signers if signer.time_s is not None]
    if times:
        sentences.append(f"It was there by {unix_time(min(times))}: a witness saw the log then.")
    return sentences


def unproved(verdict: Verdict) -> list[str]:
    """Return what the file does not prove, though somebody might think so."""
    if verdict.record is not None and verdict.signature is not None:
        found = moments.since_of(verdict) is not None
        return list(_unproved_record(verdict.record, verdict.signature, anchor_found=found))
    if verdict.stretch is not None:
        return list(_unproved_stretch(verdict.stretch))
    return ["That the value still stands today: it is what the ledger held at that block."]


def as_text(verdict: Verdict) -> str:
    """Return the whole report as lines of text, ending in a newline."""
    lines = [headline(verdict), ""]
    lines += [f"  {label + ':':<14}{text}" for label, text in rows(verdict)]
    lines += ["", "Proved:", *(f"  + {sentence}" for sentence in proved(verdict))]
    lines += ["", "Not proved:", *(f"  - {sentence}" for sentence in unproved(verdict))]
    return "\n".join(lines) + "\n"


def as_json(verdict: Verdict) -> dict[str, Json]:
    """Return the verdict as plain JSON values: bytes as hex, absent parts left out, sentences added."""
    plain = {name: _plain(value) for name, value in asdict(verdict).items() if value is not None}
    return {
        "verified": True,
        **plain,
        "headline": headline(verdict),
        "proved": proved(verdict),
        "not_proved": unproved(verdict),
    }


def rows(verdict: Verdict) -> list[tuple[str, str]]:
    """Return label and text of every figure worth reading."""
    if verdict.record is not None:
        table = _rows_record(verdict.record)
        table += moments.rows(verdict)
    elif verdict.stretch is not None:
        table = _rows_stretch(verdict.stretch)
    else:
        table = _rows_state(_state(verdict))
    last = verdict.inclusions[-1]
    table.append(("log", f"{verdict.origin}, size {last.size:,}, root {last.root.hex()}"))
    for signer in last.signers:
        seen = "" if signer.time_s is None else f", saw it {unix_time(signer.time_s)}"
        table.append((signer.role, f"{signer.name} {signer.key_id.hex()}{seen}"))
    table.append(("receipt by", f"{last.node}, key {last.kid.hex()}"))
    return table


def state_key(key: bytes) -> str:
    """Return a state key in words: the name of its space and its parts; the bytes of what is no such key."""
    parts: list[str] = []
    at = 0
    try:
        while at < len(key):
            part, at = cbor.decode_prefix(key, at)
            parts.append(part.hex() if isinstance(part, bytes) else str(part))
    except Refused:
        return key.hex()
    if key and key[0] < len(SPACE_NAMES):
        parts[0] = SPACE_NAMES[key[0]]
    return " / ".join(parts)


def number(value: object) -> str:
    """Return a measured value as it was signed: an integer, or (exponent, mantissa) as a decimal fraction."""
    match value:
        case (int() as exponent, int() as mantissa):
            digits = f"{abs(mantissa):0{1 - exponent}d}"
            sign = "-" if mantissa < 0 else ""
            return f"{sign}{digits[:exponent]}.{digits[exponent:]}"
        case bytes():
            return value.hex()
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def _rows_record(record: RecordFacts) -> list[tuple[str, str]]:
    table = [
        ("from", _sender(record)),
        ("position", f"epoch {record.epoch}, number {record.seq:,}"),
    ]
    for name, unit, value, time in record.measurements[:ROWS_MAX]:
        table.append((name, f"{number(value)} {unit or ''}".rstrip() + _claimed(time)))
    if len(record.measurements) > ROWS_MAX:
        table.append(("", f"and {len(record.measurements) - ROWS_MAX} more"))
    if record.call is not None:
        _, contract, function, arguments, _ = record.call
        table.append(("calls", f"{contract}.{function} {_plain(arguments)}"))
    table.append(("record id", record.record_id.hex()))
    table.append(("log entry", record.entry.hex()))
    return table


def _rows_stretch(stretch: StretchFacts) -> list[tuple[str, str]]:
    table = [
        ("stream", _stream(stretch)),
        ("records", f"{len(stretch.items):,} here, {stretch.count:,} since the beginning"),
        ("runs", _ranges(stretch.runs)),
        ("gaps", _ranges(stretch.gaps)),
        ("epochs", _epochs(stretch)),
    ]
    if stretch.start is not None:
        table.append(("after block", _block(stretch.start)))
    table.append(("up to block", _block(stretch.end)))
    return table


def _rows_state(state: StateFacts) -> list[tuple[str, str]]:
    value = "none" if state.value is None else state.value.hex()
    return [
        ("state key", state_key(state.key)),
        ("key bytes", state.key.hex()),
        ("value", value),
        ("block", _block(state)),
    ]


def _unproved_record(
    record: RecordFacts, signature: SignatureFacts, *, anchor_found: bool
) -> Iterable[str]:
    if not signature.checked:
        yield (
            f"The {signature.signed_by}'s own signature was not checked here, because no proof of"
            " its key came along. The nodes above vouch that they checked it."
        )
    elif signature.key_status:
        yield (
            f"That the key was still good: the registry lists it as {_status(signature.key_status)}"
            " at that block. The ledger accepted the record while it was valid."
        )
    if record.device is not None:
        yield f"That {record.device} said it: this device does not sign, {record.sub} signs for it."
    if record.kind == "sealed":
        yield "What the record says: it is sealed, and only its group can read it."
    else:
        yield "That what it says is true: a signature shows who says it, not that it is right."
    if record.iat is not None or any(time is not None for *_, time in record.measurements):
        yield "The times in the record: they are its sender's own claim."
    if record.anchor is not None and not anchor_found:
        yield "Its anchor, an earlier state of the ledger that the sender names: not looked up here."
    yield "That no other record is missing: for that there are completeness proofs."


def _unproved_stretch(stretch: StretchFacts) -> Iterable[str]:
    yield (
        "That the device sent everything it measured: a number that never reached the ledger is a"
        " gap above, but numbers after the last one leave no trace."
    )
    yield (
        "What the records say: this file holds their ids. Compare them with the ids of the records"
        " that you hold."
    )
    yield "Anything after the second block."
    later = {run.epoch for run in stretch.runs[:-1] if run.epoch != stretch.runs[-1].epoch}
    if later.difference([fork.epoch for fork in stretch.forks]):
        yield (
            "Why the device began another epoch: a restore from a backup, or a start without memory. No evidence of a"
            " fork came along."
        )
    if stretch.forgets:
        yield (
            f"Gaps before epoch {stretch.runs[0].epoch}: the stream has closed those epochs. A proof"
            " from the beginning shows them."
        )


def _sentence_signers(place: Inclusion) -> str:
    nodes = sum(signer.role == "node" for signer in place.signers)
    text = f"{_count(nodes, 'node')} of the trust file signed the log at {place.size:,} entries"
    witnesses = len(place.signers) - nodes
    if witnesses:
        text += f", and {_count(witnesses, 'witness')} cosigned it"
    return text + "."


def _sentence_signature(signature: SignatureFacts, key: StateFacts) -> str:
    return (
        f"The {signature.signed_by}'s own signature is valid under the key that the ledger's registry"
        f" held at block {key.height:,}, {_block_time(key)}."
    )


def _sentence_stretch(stretch: StretchFacts) -> str:
    return (
        f"{_span(stretch).capitalize()}, the ledger accepted these"
        f" {_count(len(stretch.items), 'record')} of this stream, in this order, and no other."
    )


def _sentence_gaps(gaps: tuple[Range, ...]) -> str:
    if not gaps:
        return "The numbering has no gap: every number up to the last one is there."
    missing = sum(gap.last - gap.first + 1 for gap in gaps)
    arrived = f"{_count(missing, 'number')} had not arrived by then (epoch/number)"
    return f"{arrived}: {_ranges(gaps)}."


def _sentence_fork(fork: ForkFacts) -> str:
    return (
        f"Epoch {fork.epoch} ended in a fork: the ledger holds evidence that its sender signed two different records of"
        f" one position, {fork.ids[0].hex()[:16]} and {fork.ids[1].hex()[:16]}. What it had accepted stays; of this"
        " epoch it takes no more."
    )


def _epochs(stretch: StretchFacts) -> str:
    """The epochs that the stream has at the end; more than one: it was begun anew, after a restore or a fork."""
    forked = {fork.epoch for fork in stretch.forks}
    epochs = sorted({run.epoch for run in stretch.runs} | forked)
    shown = ", ".join(f"{one} (forked)" if one in forked else str(one) for one in epochs)
    return shown or "none"


def _sentence_state(state: StateFacts) -> str:
    what = "has this value" if state.value is not None else "has no value"
    return (
        f"In the ledger's state after block {state.height:,} ({_block_time(state)}) the key {what}."
    )


def _span(stretch: StretchFacts) -> str:
    end = f"block {stretch.end.height:,}"
    if stretch.start is None:
        return f"from the beginning up to {end}"
    return f"after block {stretch.start.height:,} up to {end}"


def _sender(record: RecordFacts) -> str:
    if record.device is None:
        return f"{record.iss}/{record.sub}"
    return f"{record.iss}/{record.device} (attested by {record.sub})"


def _stream(stretch: StretchFacts) -> str:
    if stretch.device is None:
        return f"{stretch.iss}/{stretch.sub}"
    return f"{stretch.iss}/{stretch.device} (attested by {stretch.sub})"


def _kind(record: RecordFacts) -> str:
    return "sealed record" if record.kind == "sealed" else record.kind


def _block(state: StateFacts) -> str:
    return f"{state.height:,}, {_block_time(state)}"


def _block_time(state: StateFacts) -> str:
    return unix_time(state.time_ms // 1000)


def _claimed(time: object) -> str:
    match time:
        case int():
            return f" at {unix_time(time)} (claimed)"
        case None:
            return ""
        case _:
            return f" at Unix time {number(time)} (claimed)"


def _ranges(ranges: tuple[Range, ...]) -> str:
    if not ranges:
        return "none"
    shown = ", ".join(
        f"{r.epoch}/{r.first}" if r.first == r.last else f"{r.epoch}/{r.first}-{r.last}"
        for r in ranges[:ROWS_MAX]
    )
    more = len(ranges) - ROWS_MAX
    return shown if more <= 0 else f"{shown} and {more} more"


def _status(status: int) -> str:
    return KEY_STATUS_NAMES[status] if status < len(KEY_STATUS_NAMES) else f"status {status}"


def _count(count: int, noun: str) -> str:
    plural = "witnesses" if noun == "witness" else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def _state(verdict: Verdict) -> StateFacts:
    assert verdict.state is not None
    return verdict.state


def _plain(value: object) -> Json:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        members = cast("Mapping[object, object]", value)
        return {str(name): _plain(item) for name, item in members.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("Sequence[object]", value)]
    return cast("Json", value)
