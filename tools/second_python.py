"""Make an environment for another Python version, so that tests can compare the ledger's results across versions.

Usage: python tools/second_python.py FOLDER. Prints the interpreter's path, or nothing where no other supported Python
is found; the tests that need one then say so. Installs the locked core requirements only.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.13", "3.14", "3.12", "3.11")


def candidates() -> list[str]:
    """Return interpreters of supported versions other than this one, best first."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    found: list[str] = []
    for version in VERSIONS:
        if version == own:
            continue
        on_path = shutil.which(f"python{version}")
        elsewhere = (Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python")
        found += [*([on_path] if on_path else []), *sorted(map(str, elsewhere))]
    return found


def works(python: str) -> bool:
    """Say whether an interpreter starts and can make environments (a version manager's shim may not)."""
    command = [python, "-c", "import venv, ensurepip"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def main() -> None:
    """Make the environment once; print its interpreter."""
    folder = Path(sys.argv[1])
    python = folder / "bin" / "python"
    done = folder / "core"
    lock = ROOT / "requirements" / "core.txt"
    if done.exists() and done.read_text() == lock.read_text():
        print(python.absolute())
        return
    usable = next((p for p in candidates() if works(p)), None)
    if usable is None:
        print("no second Python found: cross-version tests will say so", file=sys.stderr)
        return
    subprocess.run([usable, "-m", "venv", "--clear", str(folder)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    result = subprocess.run(
        [*install, "--require-hashes", "-r", str(lock)], check=False, capture_output=True, text=True
    )
    if result.returncode:
        print(f"second Python: {result.stderr.strip()[-500:]}", file=sys.stderr)
        return
    done.write_text(lock.read_text())
    print(python.absolute())


if __name__ == "__main__":
    main()
