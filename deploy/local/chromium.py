"""python -m deploy.local.chromium: the browser of the tests.

A Chromium of the machine; else, only as root in CI, Debian's package; else Playwright's own
download. A person's machine never gets a system package from here.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from deploy.local import debian

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
# Of its own window nobody sees anything. The popups of the address bar cost a renderer for each
# window, twice the CPU of a page in it. Only the last list counts: Playwright's own goes on in it.
OFF = (
    "PreloadTopChromeWebUI", "WebUIOmniboxPopup", "WebUIOmniboxFullPopup", "WebUIOmniboxAimPopup",
    "AimEnabled", "AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades",
    "LensOverlay", "MediaRouter", "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding",
    "PreconnectToSearch", "TcpPortRandomizationWin", "ThirdPartyStoragePartitioning",
)  # fmt: skip
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    f"--disable-features={','.join(OFF)}",
)  # fmt: skip


def find() -> Path | None:
    """A Chromium that starts here, or None. GUANXI_CHROMIUM names one for sure."""
    for candidate in _candidates():
        if candidate.exists() and _starts(candidate):
            return candidate
    return None


def _candidates() -> Iterator[Path]:
    given = os.environ.get("GUANXI_CHROMIUM")
    if given:
        yield Path(given)
        return
    for program in PROGRAMS:
        found = shutil.which(program)
        if found:
            yield Path(found)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield Path(playwright.chromium.executable_path)


def _starts(program: Path) -> bool:
    try:
        asked = subprocess.run([program, "--version"], capture_output=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def install() -> None:
    """Debian's Chromium as root in CI, else Playwright's. A failure is said, not raised."""
    if debian.may_install():
        print("browser: installing Debian's chromium (root, in CI)", flush=True)
        wanted = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium"]
        if debian.run(["apt-get", "update", "-q"]) and debian.run(wanted):
            return
    print("browser: downloading Playwright's Chromium", flush=True)
    debian.run([sys.executable, "-m", "playwright", "install", "chromium"])


def main() -> int:
    if find() is None:
        install()
        if find() is None:
            print(
                "browser: NO CHROMIUM HERE: the tests in a real browser cannot run. Install "
                "Chromium or Chrome, or name one in GUANXI_CHROMIUM.",
                file=sys.stderr,
            )
            return 1 if os.environ.get("CI") else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
