"""Make the virtual environment and install the locked requirements, then this project.

Usage: python3 tools/install.py VENV core|dev. Needs Python 3.11 and nothing else; every file is checked by hash.
"""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Create VENV if it is missing, install the profile's requirements and the project in place."""
    if sys.version_info < (3, 11):
        sys.exit("Drystone needs Python 3.11 or newer: make PYTHON=python3.11 ...")
    folder, profile = Path(sys.argv[1]), sys.argv[2]
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"making {folder} with Python {sys.version.split()[0]}", flush=True)
        try:
            venv.create(folder, with_pip=True, symlinks=True)
        except subprocess.CalledProcessError:
            sys.exit("this Python has no venv module with pip: install your system's python3-venv")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    lock = ROOT / "requirements" / f"{profile}.txt"
    print(f"installing {lock.relative_to(ROOT)}", flush=True)
    subprocess.run([*pip, "--require-hashes", "-r", str(lock)], check=True)
    link_project(python)


def link_project(python: Path) -> None:
    """Put the project itself into the environment: a path file and its one command, no build step."""
    script = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([str(python), "-c", script], check=True, capture_output=True, text=True)
    packages = Path(site.stdout.strip())
    (packages / "drystone.pth").write_text(f"{ROOT / 'src'}\n")
    command = python.parent / "drystone"
    command.write_text(
        f"#!{python.absolute()}\nimport sys\n\nfrom drystone.cli import main\n\nsys.exit(main())\n"
    )
    command.chmod(0o755)


if __name__ == "__main__":
    main()
