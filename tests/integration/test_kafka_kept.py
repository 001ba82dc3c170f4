"""What Kafka's JVM kept saves time, and no more: whatever became of it, Kafka starts."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import kafka_server
from deploy.local.children import Child, free_port, wait_until
from deploy.local.kafka_server import KafkaServer
from deploy.local.places import LOCAL
from shared.testing.servers import run_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    made = run_folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


def server_in(folder: Path) -> KafkaServer:
    return KafkaServer(folder, port=free_port(), controller_port=free_port(), short_run=True)


@pytest.fixture
def templates(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of its own, with a formatted folder and nothing kept."""
    server_in(folder / "first").prepare()
    made = folder / "local" / "templates"
    shutil.copytree(LOCAL / "templates" / "kafka-4.3.1", made / "kafka-4.3.1")
    monkeypatch.setattr(kafka_server, "LOCAL", folder / "local")
    return made


@pytest.fixture
def kept(templates: Path) -> Path:
    """As a maker leaves it."""
    file = kafka_server._kept()
    part = file.with_suffix(".part")
    shutil.copyfile(LOCAL / "templates" / file.name, part)
    kafka_server._keep(part, file)
    return file


def start(server: KafkaServer) -> bool:
    """It starts, or StackError; was what is kept used?"""
    command = server.command()
    child = Child(server.name, command)
    try:
        wait_until(server.ready, child, 90.0)
    finally:
        child.stop()
    return any(option.startswith("-XX:AOTCache=") for option in command.argv)


@pytest.mark.parametrize("what", ["middle overwritten", "second half zeros", "no sum"])
def test_a_damaged_file_is_removed_and_said_and_kafka_starts(
    what: str, folder: Path, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = bytearray(kept.read_bytes())
    middle = len(body) // 2
    if what == "middle overwritten":
        body[middle : middle + (1 << 20)] = os.urandom(1 << 20)
    if what == "second half zeros":  # the power went before the disk had it
        body[middle:] = bytes(len(body) - middle)
    server = server_in(folder / "run")
    server.prepare()
    assert start(server)
    assert not capsys.readouterr().err
    kept.write_bytes(body)
    if what == "no sum":
        kept.with_suffix(".sum").write_text("")
    assert not start(server)
    assert "was damaged and is removed" in capsys.readouterr().err
    assert not kept.exists()


def test_kafka_starts_where_nothing_can_be_kept_and_parts_of_before_are_removed(
    folder: Path,
    templates: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    left = kafka_server._kept().with_suffix(".0123abcd")
    left.write_text("half")
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nowhere")
    server = server_in(folder / "run")
    server.prepare()
    assert not start(server)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "starts without what its JVM would keep" in said[1]
    assert [path.name for path in templates.glob("*jdk*")] == []


def test_nothing_is_kept_of_a_jvm_that_does_not_end(
    folder: Path,
    templates: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(kafka_server, "_WRITTEN_WITHIN_S", 0.0)
    server_in(folder / "run").prepare()
    assert "the JVM did not end" in capsys.readouterr().err
    assert not kafka_server._kept().exists()


def test_it_has_its_name_only_when_the_disk_has_it(
    templates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[bool] = []
    kept = kafka_server._kept()
    monkeypatch.setattr(os, "fsync", lambda _: named.append(kept.exists()))
    part = templates / "part"
    part.write_text("what was loaded")
    kafka_server._keep(part, kept)
    assert named == [False, False]
    assert kept.exists()
