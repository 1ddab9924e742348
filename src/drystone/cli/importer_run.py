"""The work behind `import`: survey, enrol, reserve, then sign and send, with two progress bars on a terminal."""

import hashlib
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drystone.cli.enrolment import add_profile, enrol_members, make_members
from drystone.cli.node_access import Caller, caller, connect, key_folder
from drystone.cli.progress import Bar
from drystone.client.messages import StreamName
from drystone.client.rest import Client
from drystone.errors import ImportMalformed
from drystone.formats import cose
from drystone.importer.delivery import (
    Summary,
    Survey,
    reserve_stretches,
    send_all,
    sign_packs,
    survey,
)
from drystone.importer.journal import journal_path, open_journal
from drystone.importer.mapping import MAPPING_BYTES_MAX, Table, read_mapping
from drystone.importer.rows import BadRow, Pack, read_table
from drystone.records.key import SecretKey

if TYPE_CHECKING:
    from drystone.home.keyfolder import KeyFolder


def check_table(file: Path, mapping: Path) -> Summary:
    """Read a table under a mapping and send nothing."""
    table, _ = load_mapping(mapping)
    return _begun(_survey(file, table))


def run_import(
    file: Path,
    mapping: Path,
    *,
    home: Path,
    url: str | None,
    keys: Path | None,
    enrol: bool,
    skip_bad_rows: bool,
    batch: int,
) -> Summary:
    """Import a table; see the command's help. Raises: ImportMalformed, and what a record is refused for."""
    table, mapping_bytes = load_mapping(mapping)
    found = _survey(file, table)
    summary = _begun(found)
    if found.bad and not skip_bad_rows:
        return summary
    folder = key_folder(home, keys)
    journal = open_journal(
        journal_path(
            folder.root,
            table=_digest(file),
            mapping=hashlib.sha256(mapping_bytes).digest(),
        )
    )
    summary.resumed = min(journal.done, summary.records)
    with connect(home, url) as node:
        if enrol:
            enrol_absent(caller(node, home, None), folder, table, list(found.packs))
        reserve_stretches(
            journal,
            folder,
            organisation=table.organisation,
            packs=found.packs,
            seen=_seen(node, table.organisation),
        )
        signed = sign_packs(
            _rows(file, table),
            organisation=table.organisation,
            begins=journal.begins,
            keys=_secrets(folder, table.organisation),
            skip=journal.done,
        )
        left = summary.records - summary.resumed
        begin = time.monotonic()
        with Bar("sign and send", total=left, unit="records") as bar:
            send_all(
                node,
                signed,
                journal=journal,
                summary=summary,
                batch=batch,
                stop_at_refusal=not skip_bad_rows,
                progress=bar.advance,
            )
        summary.send_ms = int((time.monotonic() - begin) * 1000)
    return summary


def load_mapping(path: Path) -> tuple[Table, bytes]:
    """Read a mapping file. Raises: ImportMalformed."""
    with path.open("rb") as file:
        data = file.read(MAPPING_BYTES_MAX + 1)
    if len(data) > MAPPING_BYTES_MAX:
        raise ImportMalformed(f"mapping: more than {MAPPING_BYTES_MAX} bytes")
    try:
        return read_mapping(data.decode()), data
    except UnicodeDecodeError as error:
        raise ImportMalformed("mapping: not UTF-8") from error


def enrol_absent(by: Caller, folder: "KeyFolder", table: Table, devices: list[str]) -> None:
    """Enrol the devices that the ledger does not know, and their profile if it is missing."""
    organisation = table.organisation
    known = {row["sub"] for row in by.node.rows("/v1/devices", {"iss": organisation})}
    absent = [device for device in devices if device not in known]
    if not absent:
        return
    if table.profile:
        profiles = {row["name"] for row in by.node.rows("/v1/profiles", {"iss": organisation})}
        if table.profile not in profiles:
            add_profile(by, profile_of(table))
    streams = [StreamName(organisation, device, None) for device in absent]
    members = make_members(
        by.node, folder, streams, alg=cose.ALG_EDDSA, profile=table.profile or None
    )
    enrol_members(by, members)


def profile_of(table: Table) -> dict[str, Any]:
    """Give the profile that a mapping's measurements describe."""
    measurements = [
        {"name": column.name} | ({"unit": column.unit} if column.unit else {})
        for column in table.measurements
    ]
    return {"name": table.profile, "measurements": measurements}


def _rows(
    file: Path, table: Table, progress: Callable[[int], None] | None = None
) -> Iterator[Pack | BadRow]:
    with file.open(encoding="utf-8-sig", newline="", errors="replace") as text:
        yield from read_table(_counted(text, progress), table)


def _counted(lines: Iterator[str], progress: Callable[[int], None] | None) -> Iterator[str]:
    for line in lines:
        if progress is not None:
            progress(len(line))
        yield line


def _survey(file: Path, table: Table) -> Survey:
    with Bar("read table", total=file.stat().st_size, unit="bytes") as bar:
        return survey(_rows(file, table, bar.advance))


def _begun(found: Survey) -> Summary:
    return Summary(
        records=sum(found.packs.values()),
        measurements=found.measurements,
        devices=len(found.packs),
        bad=list(found.bad),
    )


def _digest(file: Path) -> bytes:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").digest()


def _seen(node: Client, organisation: str) -> Callable[[str, int], int]:
    """The next number of each stream as the ledger knows it, asked for once."""
    ends = {
        (row["sub"], row["epoch"]): row["last"] + 1
        for row in node.rows("/v1/streams", {"iss": organisation})
        if row["device"] is None and row["last"] is not None
    }
    return lambda device, epoch: ends.get((device, epoch), 0)


def _secrets(folder: "KeyFolder", organisation: str) -> Callable[[str], SecretKey]:
    @lru_cache(maxsize=65_536)
    def secret(device: str) -> SecretKey:
        return folder.load(organisation=organisation, member=device).secret

    return secret
