"""Where the stack keeps its things, and on which machines it runs at all."""

import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
LOCAL = CHECKOUT / ".local"
JARS = LOCAL / "jars"
MODEL = CHECKOUT / "deploy" / "bank" / "model.json"  # of risk; `make model` trained it
GIVEN_MODEL = "GUANXI_RISK_MODEL"


class StackError(Exception):
    """The stack cannot start or go on; the text says why and what to do. One line if possible."""


def package_folder(name: str) -> Path:
    """Where an installed package lies, without importing it: some act on import."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise StackError(f"the package {name} is not installed: `make setup` installs it")
    return Path(spec.origin).resolve().parent


def refuse_other_platforms() -> None:
    """Stop in one line where the servers' wheels do not exist."""
    libc, version = platform.libc_ver()
    found = f"{sys.platform} {platform.machine()}, {libc or 'another libc'} {version}"
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise StackError(
            f"the embedded stack runs on Linux x86_64 only, this is {found}: "
            "use Docker (deploy/compose.yaml)"
        )
    if libc != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < (2, 28):
        raise StackError(
            f"the embedded stack needs glibc 2.28 or later, this is {found}: "
            "use Docker (deploy/compose.yaml)"
        )
    if sys.version_info[:2] not in ((3, 11), (3, 12)):
        found = platform.python_version()
        raise StackError(f"Guanxi runs on CPython 3.11 or 3.12, this is {found}")


def data_folder() -> Path:
    """The data of this checkout: .local/data, for root a folder of its own under /var/tmp.

    PostgreSQL refuses to run as root, so another user must reach its files, and a home is closed
    to other users: opening its folders is not ours to do.
    """
    given = os.environ.get("GUANXI_DATA")
    if given:
        return Path(given).absolute()
    if os.geteuid() != 0:
        return LOCAL / "data"
    digest = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:12]
    return Path("/var/tmp") / f"guanxi-{digest}"  # noqa: S108 -- make_own checks the owner


def make_own(folder: Path) -> Path:
    """Make `folder`, or check that it is really ours: /var/tmp belongs to everybody.

    Others may pass through it (the database's user must) but not list it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StackError(
            f"the data folder {folder} cannot be made ({error.strerror}): "
            "name another in GUANXI_DATA"
        ) from None
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.geteuid():
        raise StackError(
            f"{folder} belongs to user {found.st_uid} or is a link: remove it, "
            "or name another folder in GUANXI_DATA"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StackError(f"the data folder {folder} is not writable: name another in GUANXI_DATA")
    if os.geteuid() == 0:
        folder.chmod(0o711)
    return folder


def save(path: Path, content: dict[str, Any]) -> None:
    """Writes a small file whole: who reads it finds the last content or this one."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1))
    part.replace(path)


def saved(path: Path) -> dict[str, Any] | None:
    """What `save` wrote; None if it never did."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        found = None
    if not isinstance(found, dict):  # the machine went down before the disk had it
        raise StackError(f"{path} is damaged: FRESH=1 starts over with empty data")
    return found


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Within it this process alone makes what shall stand at `path`, for all runs to come."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def open_to_others(folder: Path) -> bool:
    """Can every user pass through `folder` and all its parents?"""
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


def without_password(address: str) -> str:
    """As it may be shown."""
    head, at, tail = address.rpartition("@")
    if not at:
        return address
    scheme, slashes, who = head.rpartition("//")
    return f"{scheme}{slashes}{who.partition(':')[0]}@{tail}"
