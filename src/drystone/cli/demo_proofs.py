"""The demo's second half: a receipt, checked without a network; a stream without a gap; a byte that fsck finds."""

import shutil
import sys
from hashlib import sha256
from pathlib import Path
from typing import Final

from drystone.cli.demo_stage import Stage, offline_prefix, run_command, single_file_verifier
from drystone.cli.output import size
from drystone.cli.proofs import wrap_report

LINES_SHOWN: Final = 7


def show_proofs(stage: Stage, *, organisation: str, device: str) -> None:
    """Take a receipt and a completeness proof of one device and verify both in processes without network."""
    name = f"{organisation}/{device}"
    last = _last_number(stage, name)
    file = stage.folder / "reading.receipt.cbor"
    trust = stage.folder / "trust.json"
    shutil.copy(stage.home / "trust.json", trust)
    key = stage.folder / "meter.key.cbor"
    got = stage.run("receipt", "get", name, str(last), "-o", str(file), "--key", str(key))
    held = stage.note(
        f"drystone receipt get: reading {last} of {device}"
        + (f", {size(file.stat().st_size)}" if got.code == 0 else ""),
        held=got.code == 0,
        detail=got.stderr,
    )
    if held:
        _verify_offline(stage, file, trust, key)
        _verify_single_file(stage, file, trust, key)
        _verify_altered(stage, file, trust)
    proof = stage.folder / "stream.completeness.cbor"
    got = stage.run("completeness", name, "-o", str(proof))
    shown = stage.run("verify", str(proof), "--trust", str(trust), offline=True)
    stage.note(
        f"completeness of {device}: no hidden gap, verified offline",
        held=got.code == 0 and shown.code == 0,
        detail=got.stderr + shown.stderr or said(shown.stdout),
    )


def show_damage(stage: Stage, *, organisation: str, device: str) -> None:
    """Back the node up, check the copy, flip one byte in it, and let fsck say what is broken."""
    copy = stage.folder / "copy"
    done = stage.run("backup", str(copy))
    stage.note(
        "drystone backup: a copy, while the node runs", held=done.code == 0, detail=done.stderr
    )
    if done.code:
        return
    clean = stage.run("fsck", "--json", home=copy)
    stage.note("drystone fsck: the copy is clean", held=clean.code == 0, detail=clean.stderr)
    raw = stage.folder / "reading.cose"
    stage.run("record", "get", f"{organisation}/{device}", "3", "-o", str(raw))
    place = flip_bit(copy, raw.read_bytes())
    damaged = stage.run("fsck", home=copy)
    lines = [line for line in damaged.stdout.splitlines() if line.strip()]
    stage.note(
        f"one bit flipped in the copy ({place}); fsck names it",
        held=damaged.code == 1,
        detail="\n".join(lines[:LINES_SHOWN]) or damaged.stderr,
    )


def flip_bit(copy: Path, record: bytes) -> str:
    """Flip one bit of a record's leaf hash in a copy's log, or where that is not found in the file's middle.

    Returns where, for people.
    """
    path = copy / "ledger.db"
    data = bytearray(path.read_bytes())
    leaf = sha256(b"\0" + sha256(record).digest()).digest()
    found = data.rfind(leaf[:16])
    at = found + 5 if found >= 0 else len(data) // 2
    data[at] ^= 1
    path.write_bytes(data)
    return f"{path.name}, byte {at:,}"


def said(report: str, *, figures: bool = False) -> str:
    """Give a report's first sentence on one line, and with `figures` what was measured and by whom signed."""
    head, _, rest = report.partition("\n\n")
    lines = [" ".join(head.split())]
    if figures:
        body, _, proved = rest.partition("\n\n")
        skipped = ("from:", "position:", "record id:", "log", "node:", "receipt", "witness")
        listed = [line for line in body.splitlines() if not line.strip().startswith(skipped)]
        lines += [line for line in listed if line[:3].strip()]
        lines += [
            " ".join(sentence.split())
            for sentence in proved.partition("\n\n")[0].split("+ ")
            if "own signature" in sentence
        ]
    return "\n".join(lines)


def _last_number(stage: Stage, name: str) -> int:
    from drystone.client.rest import Client, find_endpoint

    with Client(find_endpoint(stage.home)) as node:
        return int(node.get(f"/v1/streams/{name}")["last"])


def _verify_offline(stage: Stage, file: Path, trust: Path, key: Path) -> None:
    offline = offline_prefix()
    arguments = ["verify", str(file), "--trust", str(trust), "--key", str(key)]
    done = stage.run(*arguments, offline=True)
    where = (
        "in a process without any network"
        if offline
        else "in a process of its own (this system lets no one cut off the network; none is used)"
    )
    stage.note(
        f"drystone verify, {where}",
        held=done.code == 0,
        detail=said(done.stdout, figures=True) or done.stderr,
    )


def _verify_single_file(stage: Stage, file: Path, trust: Path, key: Path) -> None:
    verifier = single_file_verifier()
    if verifier is None:
        return
    command = [*offline_prefix(), sys.executable, "-I", str(verifier)]
    done = run_command([*command, str(file), "--trust", str(trust), "--key", str(key)])
    stage.note(
        f"the same with {verifier.name} ({size(verifier.stat().st_size)}, one file)",
        held=done.code == 0,
        detail="" if done.code == 0 else wrap_report(done.stderr or done.stdout),
    )


def _verify_altered(stage: Stage, file: Path, trust: Path) -> None:
    altered = bytearray(file.read_bytes())
    altered[len(altered) // 2] ^= 1
    forged = stage.folder / "altered.receipt.cbor"
    forged.write_bytes(altered)
    done = stage.run("verify", str(forged), "--trust", str(trust), offline=True)
    stage.note(
        "one bit of the receipt flipped: refused",
        held=done.code == 1,
        detail=(done.stderr or done.stdout).partition("\n")[0],
    )
