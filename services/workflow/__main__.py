"""The workflow service's process: its roles, and the commands that seed an organisation."""

import threading
from pathlib import Path

import typer

from services.workflow import api, pages
from services.workflow.commands.definitions import publish_shipped
from services.workflow.commands.seed import appoint_administrator, seed_organisation
from services.workflow.handlers import HANDLERS, TIMERS
from services.workflow.metrics import tasks_by_state
from services.workflow.tables import Base
from shared.process import Runtime, Service, cli, settings_of


def publish_definitions(runtime: Runtime, _stop: threading.Event) -> None:
    """A release brings its own process definitions: published once when the listener starts."""
    with runtime.database.transaction() as tx:
        publish_shipped(tx)


SERVICE = Service(
    name="workflow",
    handlers=HANDLERS,
    timers=TIMERS,
    routers=(api.router, api.labels_router, pages.router),
    metadata=Base.metadata,
    jobs={"definitions": publish_definitions},
    metrics=tasks_by_state,
)


def commands() -> typer.Typer:
    """The roles of every service, and this one's own commands."""
    app = cli(SERVICE)

    @app.command("seed", help="Load an organisation from a YAML file; again changes nothing.")
    def seed(file: Path) -> None:
        runtime = Runtime(SERVICE, settings_of(SERVICE))
        with runtime.database.transaction() as tx:
            changed = seed_organisation(tx, file)
        runtime.close()
        parts = ", ".join(f"{section} {count}" for section, count in changed.items() if count)
        typer.echo(f"organisation: {parts or 'nothing new'}")

    @app.command("appoint-administrator", help="Make the first administrator of a new system.")
    def appoint(staff_id: str, name: str) -> None:
        runtime = Runtime(SERVICE, settings_of(SERVICE))
        with runtime.database.transaction() as tx:
            appoint_administrator(tx, staff_id, name)
        runtime.close()
        typer.echo(f"{staff_id} ({name}) is administrator")

    return app


if __name__ == "__main__":
    commands()()
