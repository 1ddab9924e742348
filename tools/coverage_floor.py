"""Hold the pure rooms (formats to ledger) to 95 % branch coverage, each room by itself.

Reads .coverage as `make test` left it; prints a line a room and exits 1 below the floor.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOMS = ("formats", "trees", "records", "proof", "contracts", "ledger")
FLOOR_PERCENT = 95


def main() -> None:
    """Print the rooms' coverage, exit 1 when one is below the floor."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        command = [sys.executable, "-m", "coverage", "json", "-q", "-i", "-o", str(report)]
        subprocess.run(command, check=True)
        files = json.loads(report.read_text())["files"]
    low: list[str] = []
    for room in ROOMS:
        here = [v["summary"] for k, v in files.items() if f"src/drystone/{room}/" in k]
        covered = sum(s["covered_lines"] + s["covered_branches"] for s in here)
        total = sum(s["num_statements"] + s["num_branches"] for s in here)
        percent = 100 * covered / total if total else 0.0
        print(f"coverage {room:<10} {percent:5.1f} % of {total} lines and branches")
        if percent < FLOOR_PERCENT:
            low.append(room)
    if low:
        sys.exit(f"below {FLOOR_PERCENT} %: {', '.join(low)}")


if __name__ == "__main__":
    main()
