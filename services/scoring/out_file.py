"""What a command writes at its end can be written: asked before its work, which may take hours."""

import os
from pathlib import Path


class Unwritable(ValueError):
    """The message says why, in one sentence."""


def refuse_unwritable(file: Path) -> None:
    """Raises Unwritable. Whatever stands there is left as it is."""
    try:
        if not file.parent.is_dir():
            raise Unwritable(f"there is no folder {file.parent}: make it first")
        is_new = not os.path.lexists(file)
        if not is_new and not file.is_file() and not file.is_dir():
            return  # a device, or a pipe: its reader would take our closing of it for the end
        with file.open("ab"):
            pass
        if is_new:
            file.unlink()
    except OSError as error:
        raise unwritable(file, error) from None


def unwritable(file: Path, error: OSError) -> Unwritable:
    return Unwritable(f"{file} cannot be written: {error.strerror}")
