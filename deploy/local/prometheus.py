"""python -m deploy.local.prometheus: Prometheus and promtool, for the tests of rules and dashboard.

Those of the machine; else, only as root in CI, out of Debian's package, unpacked and not
installed: no server of its own starts.
"""

import os
import shutil
import sys

from deploy.local import debian
from deploy.local.places import LOCAL

FOLDER = LOCAL / "prometheus"
MISSING = "NO PROMETHEUS HERE: install Debian's package `prometheus` (it has promtool)"


def find(program: str) -> str | None:
    """`prometheus` or `promtool`, or None."""
    places = (os.environ.get("PATH", os.defpath), str(FOLDER / "usr" / "bin"))
    return shutil.which(program, path=os.pathsep.join(places))


def unpack() -> None:
    """A failure is said, not raised."""
    print("prometheus: unpacking Debian's package (root, in CI)", flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    fetch = ["apt-get", "download", "-q", "prometheus"]
    if debian.run(["apt-get", "update", "-q"]) and debian.run(fetch, folder=FOLDER):
        for package in FOLDER.glob("prometheus_*.deb"):
            debian.run(["dpkg-deb", "--extract", str(package), str(FOLDER)])
            package.unlink()


def main() -> int:
    """Without it two tests are skipped, and say so; the run goes on."""
    if find("promtool") is None and debian.may_install():
        unpack()
    if find("promtool") is None and os.environ.get("CI"):
        print(f"{MISSING}: the rules are not tested", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
