"""Kafka's jars: resolved from Maven coordinates, each checked against its committed sha256."""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from deploy.local.places import JARS, LOCAL, StackError

# Resolved one by one: together, log4j's own dependency management would pull kafka-clients 3.9.
COORDINATES = (
    "org.apache.kafka:kafka_2.13:4.3.1",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",  # Kafka's API is SLF4J 1.7: not slf4j2
)
SUMS = Path(__file__).with_name("jars.sha256")
_ADVICE = (
    "Check the way to your Maven repository (GUANXI_MAVEN names a mirror) and run the same "
    "command again"
)


def committed_sums() -> dict[str, str]:
    """File name of each jar to its sha256."""
    pairs = (line.split() for line in SUMS.read_text().splitlines())
    return {name: digest for digest, name in pairs}


def resolve(coordinate: str) -> list[Path]:
    """The jars of one coordinate and of all it needs, downloaded into the user's Maven cache."""
    import jgo

    mirror = os.environ.get("GUANXI_MAVEN")
    try:
        environment = jgo.build(
            coordinate,
            cache_dir=LOCAL / "jgo",
            repositories={"central": mirror} if mirror else None,
        )
    except Exception as error:  # jgo raises whatever its HTTP library does
        raise StackError(f"cannot download {coordinate}: {error}. {_ADVICE}") from error
    return list(environment.all_jars)


def ensure_jars(
    say: Callable[[str], None] = lambda _: None,
    folder: Path = JARS,
    resolve: Callable[[str], list[Path]] = resolve,
) -> list[Path]:
    """All jars in `folder`, each with the right sum; download what is missing or broken."""
    sums = committed_sums()
    if _wrong(folder, sums):
        say(f"Kafka's {len(sums)} jars (44 MB)")
        broken = _collect(folder, sums, resolve)
        if broken:  # a broken copy in the Maven cache would be taken for ever
            _forget(broken)
            _collect(folder, sums, resolve)
        wrong = _wrong(folder, sums)
        if wrong:
            raise StackError(
                f"{len(wrong)} of Kafka's jars are missing or differ from jars.sha256: "
                f"{', '.join(wrong[:5])}. {_ADVICE}"
            )
    return [folder / name for name in sums]


def _wrong(folder: Path, sums: dict[str, str]) -> list[str]:
    return [name for name, digest in sums.items() if _sum(folder / name) != digest]


def _sum(path: Path) -> str | None:
    if not path.exists():
        return None
    with path.open("rb") as jar:
        return hashlib.file_digest(jar, "sha256").hexdigest()


def _collect(
    folder: Path, sums: dict[str, str], resolve: Callable[[str], list[Path]]
) -> list[Path]:
    """Copy what is offered and right; return what is offered and wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    broken = []
    for coordinate in COORDINATES:
        for jar in resolve(coordinate):
            if jar.name not in sums:
                continue
            if _sum(jar) != sums[jar.name]:
                broken.append(jar)
            elif _sum(folder / jar.name) != sums[jar.name]:
                part = folder / f"{jar.name}.part"
                shutil.copyfile(jar, part)
                part.replace(folder / jar.name)
    return broken


def _forget(broken: list[Path]) -> None:
    for jar in broken:
        jar.unlink(missing_ok=True)
        for copy in (Path.home() / ".m2" / "repository").rglob(jar.name):
            copy.unlink()
    shutil.rmtree(LOCAL / "jgo", ignore_errors=True)


def main() -> int:
    try:
        ensure_jars(lambda text: print(f"jars: {text}", flush=True))
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
