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
import tempfile
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
    """By uv, ten times as fast, which comes by pip and asks where pip would ask. Only wheels, so
    nothing is built or run. What uv cannot do on this machine (a keyring, say) pip does."""
    count = len(re.findall(r"^[a-z0-9._-]+==", LOCK.read_text(), re.MULTILINE | re.IGNORECASE))
    say(f"packages: {count} of requirements.lock (a minute the first time)")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as only_uv:
        only_uv.write(block_of("uv"))
        only_uv.flush()
        pip_install(only_uv.name)
    sources, settings = where_pip_asks()
    command = [
        *(str(VENV / "bin" / "uv"), "pip", "install", "--python", str(PYTHON), *sources),
        *("--require-hashes", "--only-binary", ":all:", "--no-deps", "-r", str(LOCK)),
    ]
    lines, code = followed(command, say_of_uv, settings)
    if code == 0:
        return
    say("packages: uv could not, pip tries" + "".join(f"\n    {line}" for line in lines[-3:]))
    pip_install(str(LOCK), count)


def block_of(package: str) -> str:
    """The lines of one package in the lock: its version and its hashes."""
    found = re.search(rf"^{package}==.*(?:\n +--hash.*)+", LOCK.read_text(), re.MULTILINE)
    if found is None:
        raise StackError(f"requirements.lock does not name {package}: it is not whole")
    return found.group() + "\n"


def where_pip_asks() -> tuple[list[str], dict[str, str]]:
    """uv's options and environment for the index, the mirror or the proxy that pip is told of."""
    told: dict[str, str] = {}
    listed = subprocess.run([str(PYTHON), "-m", "pip", "config", "list"],
                            capture_output=True, text=True, check=False).stdout  # fmt: skip
    for scope in ("global.", "install.", ":env:."):
        for line in listed.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(scope):
                told[name.removeprefix(scope)] = value.strip().strip("'\"")
    options = {"index-url": "--default-index", "extra-index-url": "--index",
               "find-links": "--find-links", "trusted-host": "--allow-insecure-host"}  # fmt: skip
    sources = [part for name, option in options.items()
               for value in told.get(name, "").replace("\\n", " ").split()
               for part in (option, value)]  # fmt: skip
    variables = {"cert": "SSL_CERT_FILE", "proxy": "ALL_PROXY"}
    return sources, {variables[name]: told[name] for name in variables if name in told}


def pip_install(requirements: str, count: int = 0) -> None:
    """pip with the machine's own configuration."""
    seen = 0

    def say_of_pip(line: str) -> None:
        nonlocal seen
        if line.startswith(("Collecting ", "Requirement already satisfied: ")):
            seen += 1
            if seen % 25 == 0:
                say(f"packages: {seen} of {count} found")
        elif count and line.startswith("Installing collected packages"):
            say("packages: unpacking")

    command = [
        *(str(PYTHON), "-m", "pip", "install", "--require-hashes", "--only-binary", ":all:"),
        *("--no-deps", "--no-compile", "--disable-pip-version-check", "--progress-bar", "off"),
        *("-r", requirements),
    ]
    lines, code = followed(command, say_of_pip)
    if code != 0:
        raise StackError(
            "pip could not install the packages of requirements.lock:\n"
            + "\n".join(f"    {line}" for line in lines if "ERROR" in line or line is lines[-1])
            + "\nIs the package index reachable (python -m pip config list)? Then run it again."
        )


def say_of_uv(line: str) -> None:
    if line.startswith(("Downloading ", "Resolved ", "Prepared ", "Installed ")):
        say(f"packages: {line[0].lower()}{line[1:]}")


def followed(
    command: list[str], heard: Callable[[str], None], settings: dict[str, str] | None = None
) -> tuple[list[str], int]:
    """Runs it and hands on each line as it comes: the last ones, and the exit code."""
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=CHECKOUT,
        env={**(settings or {}), **os.environ},
    ) as running:  # fmt: skip
        for line in running.stdout or ():
            lines = [*lines[-20:], line.rstrip()]
            heard(line.strip())
    return lines, running.returncode


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
