"""Debian's packages in CI, as root. A person's machine never gets a system package from here."""

import os
import shutil
import subprocess
from pathlib import Path

TIMEOUT_S = 600


def may_install() -> bool:
    return os.geteuid() == 0 and bool(os.environ.get("CI")) and shutil.which("apt-get") is not None


def run(command: list[str], *, folder: Path | None = None) -> bool:
    """Did it succeed? If not, its last lines are printed."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, env=environment, cwd=folder, check=False, timeout=TIMEOUT_S,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        print(f"{' '.join(command)} took over {TIMEOUT_S} s", flush=True)
        return False
    if done.returncode != 0:
        print("\n".join(done.stdout.splitlines()[-5:]), flush=True)
    return done.returncode == 0
