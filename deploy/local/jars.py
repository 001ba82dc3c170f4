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


def committed_sums() -> dict[str, str]:
    """File name of each jar to its sha256."""
    pairs = (line.split() for line in SUMS.read_text().splitlines())
    return {name: digest for digest, name in pairs}


def ensure_jars(say: Callable[[str], None] = lambda _: None, folder: Path = JARS) -> list[Path]:
    """All jars in `folder`, each with the right sum; download what is missing or broken."""
    sums = committed_sums()
    if not _wrong(folder, sums):
        return [folder / name for name in sums]
    say(f"Kafka's {len(sums)} jars (44 MB)")
    _collect(folder, sums)
    wrong = _wrong(folder, sums)
    if wrong:
        for name in wrong:  # a broken copy in the Maven cache would be taken again
            _forget(name)
        _collect(folder, sums)
        wrong = _wrong(folder, sums)
    if wrong:
        raise StackError(
            f"{len(wrong)} of Kafka's jars are missing or differ from deploy/local/jars.sha256: "
            f"{', '.join(wrong[:5])}. Check the way to your Maven repository "
            "(GUANXI_MAVEN names a mirror) and run the same command again"
        )
    return [folder / name for name in sums]


def _wrong(folder: Path, sums: dict[str, str]) -> list[str]:
    return [name for name, digest in sums.items() if _sum(folder / name) != digest]


def _sum(path: Path) -> str | None:
    if not path.exists():
        return None
    with path.open("rb") as jar:
        return hashlib.file_digest(jar, "sha256").hexdigest()


def _collect(folder: Path, sums: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for coordinate in COORDINATES:
        for jar in resolve(coordinate):
            if jar.name in sums and _sum(folder / jar.name) != sums[jar.name]:
                part = folder / f"{jar.name}.part"
                shutil.copyfile(jar, part)
                part.replace(folder / jar.name)


def resolve(coordinate: str) -> list[Path]:
    """The jars of one coordinate and of all it needs, downloaded into the user's Maven cache."""
    import jgo

    mirror = os.environ.get("GUANXI_MAVEN")
    try:
        environment = jgo.build(
            coordinate,
            cache_dir=LOCAL / "jgo",
            repositories={"mirror": mirror} if mirror else None,
        )
    except Exception as error:  # jgo raises whatever its HTTP library does
        raise StackError(
            f"cannot download {coordinate}: {error}. Check the way to your Maven repository "
            "(GUANXI_MAVEN names a mirror) and run the same command again"
        ) from error
    return list(environment.all_jars)


def _forget(name: str) -> None:
    shutil.rmtree(LOCAL / "jgo", ignore_errors=True)
    cache = Path.home() / ".m2" / "repository"
    for copy in cache.rglob(name):
        copy.unlink()


def main() -> int:
    try:
        ensure_jars(lambda text: print(f"jars: {text}", flush=True))
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
