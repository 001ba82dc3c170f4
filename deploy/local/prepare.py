"""python3.11 -m deploy.local.prepare: all that Guanxi needs, each part once.

Runs before anything is installed, so this file imports nothing but the standard library. Parts:
venv (packages by hash), kernels (the scorer's machine code), jars, pages (front-end packages),
browser and prometheus (for the tests). A part that stands is skipped.
"""

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.local.places import (
    CHECKOUT,
    GIVEN_MODEL,
    MODEL,
    StackError,
    refuse_other_platforms,
)

VENV = CHECKOUT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = CHECKOUT / "requirements.lock"
PARTS = ("venv", "kernels", "jars", "pages", "browser", "prometheus")


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="deploy.local.prepare", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; none: all")
    wanted = parser.parse_args(argv).parts or list(PARTS)
    beside: list[subprocess.Popen[bytes]] = []
    of_model = {GIVEN_MODEL: str(MODEL)}
    makers: dict[str, Callable[[], None]] = {
        "venv": make_venv,
        "kernels": lambda: beside.append(start_part("services.scoring.warm", **of_model)),
        "jars": lambda: run_part("Kafka's jars", "deploy.local.jars"),
        "pages": lambda: run_part("front-end packages", "shared.web.install"),
        "browser": lambda: run_part("a Chromium for the tests", "deploy.local.chromium"),
        "prometheus": lambda: run_part("Prometheus for the tests", "deploy.local.prometheus"),
    }
    try:
        refuse_other_platforms()
        for part in wanted:
            if part not in makers:
                raise StackError(f"no part {part!r}: there are {', '.join(PARTS)}")
            makers[part]()
        if any(part.wait() != 0 for part in beside):
            raise StackError("the scorer's rules: not compiled, see above")
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        for left in beside:
            left.kill()
    return 0


def make_venv() -> None:
    """The virtual environment with exactly the packages of the lock, each checked by its hash."""
    stamp = VENV / ".guanxi-stamp"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    began = time.monotonic()
    if not works(PYTHON):
        if importlib.util.find_spec("ensurepip") is None:
            name = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
            raise StackError(f"this Python has no venv: install the package {name}")
        say("virtual environment: .venv")
        shutil.rmtree(VENV, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(VENV)], "cannot make .venv")
    elif not works(PYTHON, "-m", "pip", "--version"):  # a venv made by another tool
        run([str(PYTHON), "-m", "ensurepip"], "cannot put pip into .venv")
    install_packages()
    stamp.write_text(wanted)
    say(f"packages installed in {time.monotonic() - began:.0f} s")


def works(python: Path, *arguments: str) -> bool:
    """A venv whose Python was removed or moved cannot even start."""
    if not python.exists():
        return False
    command = [str(python), *(arguments or ("-c", "pass"))]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def install_packages() -> None:
    """pip with the machine's own configuration; only wheels, so nothing is built or run."""
    count = len(re.findall(r"^[a-z0-9._-]+==", LOCK.read_text(), re.MULTILINE | re.IGNORECASE))
    say(f"packages: {count} of requirements.lock (about a minute the first time)")
    command = [
        *(str(PYTHON), "-m", "pip", "install", "--require-hashes", "--only-binary", ":all:"),
        *("--no-deps", "--disable-pip-version-check", "--progress-bar", "off", "-r", str(LOCK)),
    ]
    seen = 0
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=CHECKOUT
    ) as pip:
        for line in pip.stdout or ():
            lines = [*lines[-20:], line.rstrip()]
            if line.startswith(("Collecting ", "Requirement already satisfied: ")):
                seen += 1
                if seen % 25 == 0:
                    say(f"packages: {seen} of {count} found")
            elif line.startswith("Installing collected packages"):
                say("packages: unpacking")
    if pip.returncode != 0:
        raise StackError(
            "pip could not install the packages of requirements.lock:\n"
            + "\n".join(f"    {line}" for line in lines if "ERROR" in line or line is lines[-1])
            + "\nIs the package index reachable (python -m pip config list)? Then run it again."
        )


def run_part(what: str, module: str) -> None:
    run([str(PYTHON), "-m", module], f"{what}: not complete, see above")


def start_part(module: str, **settings: str) -> subprocess.Popen[bytes]:
    """Busy with the processor while the other parts wait for the network. The environment's own
    settings go before these."""
    environment = {**settings, **os.environ}
    return subprocess.Popen([str(PYTHON), "-m", module], cwd=CHECKOUT, env=environment)


def run(command: list[str], failure: str) -> None:
    if subprocess.run(command, cwd=CHECKOUT, check=False).returncode != 0:
        raise StackError(failure)


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
