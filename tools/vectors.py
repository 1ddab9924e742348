"""Regenerate the test vectors from the foreign programs that judge us, and say whether any changed.

Usage: make vectors. Needs Go (and fetches its modules) for most suites, an own environment for the Python one. Exits 1
when a file in vectors/ differs from what is committed: changing an expected value is a protocol change.
"""

import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GENERATORS = ROOT / "vectors" / "generators"


def run_go(folder: Path) -> None:
    """Run one Go generator; it writes its files into vectors/."""
    print(f"vectors: {folder.name} (Go)", flush=True)
    subprocess.run(["go", "run", ".", "../.."], cwd=folder, check=True)


def run_python(folder: Path) -> None:
    """Run one Python generator in an environment with just what it names."""
    print(f"vectors: {folder.name} (Python)", flush=True)
    with tempfile.TemporaryDirectory() as place:
        venv.create(place, with_pip=True)
        python = Path(place) / "bin" / "python"
        install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "-r"]
        subprocess.run([*install, folder / "requirements.txt"], check=True)
        subprocess.run([python, "main.py", "../.."], cwd=folder, check=True)


def main() -> None:
    """Run every generator that this machine can, then compare with what is committed."""
    for folder in sorted(p for p in GENERATORS.iterdir() if p.is_dir()):
        if (folder / "go.mod").exists():
            if shutil.which("go") is None:
                print(f"vectors: {folder.name} NOT RUN, no Go on this machine")
                continue
            run_go(folder)
        elif (folder / "main.py").exists():
            run_python(folder)
    changed = subprocess.run(
        ["git", "diff", "--stat", "--", "vectors/*.json"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    if changed:
        print(changed)
        sys.exit("a vector changed")
    print("vectors: unchanged")


if __name__ == "__main__":
    main()
