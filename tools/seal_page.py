"""Write the hashes of verify.html's own style and script into its security policy, so that nothing else runs there.

python tools/seal_page.py        after every change of the page; a test fails until it is done
"""

import base64
import hashlib
import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "src" / "drystone" / "api" / "web" / "verify.html"


def sealed(page: str) -> str:
    """Return the page with the policy that allows exactly its one style and its one script."""
    for kind in ("script", "style"):
        (body,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        page = re.sub(rf"({kind}-src 'sha256-)[^']*'", lambda m, d=digest: f"{m[1]}{d}'", page)
    return page


if __name__ == "__main__":
    PAGE.write_text(sealed(PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
