"""Renew requirements/*.txt from pyproject.toml: every version pinned, every file by hash, no address.

Usage: make lock. pip-compile is fetched into a throw-away environment, so that it is no dependency of ours.
"""

import subprocess
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUIET = [
    "--quiet", "--generate-hashes", "--no-emit-index-url", "--no-emit-trusted-host",
    "--no-emit-find-links", "--strip-extras", "--allow-unsafe", "--no-header", "--no-annotate",
    "--upgrade",
]  # fmt: skip


def main() -> None:
    """Write core.txt and dev.txt."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        binaries = Path(folder) / "bin"
        subprocess.run([binaries / "pip", "install", "--quiet", "pip-tools"], check=True)
        for profile, extra in (("core", []), ("dev", ["--extra", "dev"])):
            target = f"requirements/{profile}.txt"
            compile_ = [binaries / "pip-compile", *QUIET, *extra, f"--output-file={target}"]
            subprocess.run([*compile_, "pyproject.toml"], check=True, cwd=ROOT)
            print(f"wrote {target}")


if __name__ == "__main__":
    main()
