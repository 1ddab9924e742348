"""The command line of the single-file verifier: FILE --trust TRUST [--key POINT] [--json].

Exit codes: 0 everything holds; 1 it does not, and the answer says which rule; 2 wrong use, or a file cannot be read.
It opens the files it is given and nothing else: no network, no other file. Joined last by `build_verifier.py`.
"""

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from drystone.errors import DrystoneError, TooLarge
from drystone.limits import PROOF_BYTES_MAX
from drystone.proof import report, trust, verify

VERIFIED, REFUSED, UNUSABLE = 0, 1, 2
COLUMNS = 88


def main(arguments: Sequence[str]) -> int:
    """Verify one file, print the report or the refusal, return the exit code."""
    parser = argparse.ArgumentParser(
        prog="drystone-verify",
        description="Verify a Drystone receipt, completeness proof or state value, offline.",
        epilog="Exit codes: 0 verified, 1 refused, 2 wrong use or unreadable file.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the proof to verify")
    parser.add_argument("--trust", type=Path, required=True, help="whom you believe (JSON)")
    parser.add_argument("--key", type=Path, metavar="POINT", help="proof of the sender's key")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    try:
        believed = trust.parse_trust(read_bounded(options.trust))
        key_point = None if options.key is None else read_bounded(options.key)
        verdict = verify.verify_file(read_bounded(options.file), believed, key_point=key_point)
    except DrystoneError as error:
        print(refusal(error, as_json=options.json))
        return REFUSED
    except OSError as error:
        print(f"drystone-verify: {error}", file=sys.stderr)
        return UNUSABLE
    if options.json:
        print(json.dumps(report.as_json(verdict), indent=2, ensure_ascii=False))
    else:
        print(wrapped(report.as_text(verdict)))
    return VERIFIED


def refusal(error: DrystoneError, *, as_json: bool) -> str:
    """Say which rule does not hold, and what to do."""
    if as_json:
        answer = {"verified": False, "code": error.code, "detail": str(error), "fix": error.fix}
        return json.dumps(answer, indent=2, ensure_ascii=False)
    return wrapped(f"NOT VERIFIED ({error.code}): {error}\n\n{error.fix}")


def read_bounded(path: Path) -> bytes:
    """Read a file that a stranger may have made."""
    with path.open("rb") as file:
        data = file.read(PROOF_BYTES_MAX + 1)
    if len(data) > PROOF_BYTES_MAX:
        raise TooLarge(f"{path} has more than {PROOF_BYTES_MAX} bytes")
    return data


def wrapped(text: str) -> str:
    """Break long lines at words; hashes stay whole."""
    lines: list[str] = []
    for line in text.rstrip("\n").split("\n"):
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        lines += textwrap.wrap(
            line, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        ) or [""]
    return "\n".join(lines)
