"""`python -m deploy.local.issuer [serve]`, `python -m deploy.local.issuer token`."""

import sys

import httpx
import typer
import uvicorn

from deploy.local.issuer.app import Issuer
from deploy.local.issuer.keys import client_secret
from deploy.local.issuer.settings import IssuerSettings

cli = typer.Typer(add_completion=False, help=__doc__)


@cli.callback(invoke_without_command=True)
def run(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        serve()


@cli.command()
def serve() -> None:
    """Serve until stopped."""
    settings = IssuerSettings()
    settings.refuse_elsewhere()
    host, port = settings.bind
    uvicorn.run(
        Issuer(settings).app(),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )


@cli.command()
def token() -> None:
    """Print a token of the bank's system from the running issuer, and nothing else."""
    settings = IssuerSettings()
    secret = client_secret(
        settings.issuer_folder, settings.bank_client_id, settings.bank_client_secret
    )
    form = {
        "grant_type": "client_credentials",
        "client_id": settings.bank_client_id,
        "client_secret": secret,
    }
    try:
        with httpx.Client(trust_env=False, timeout=5.0) as client:
            answer = client.post(f"{settings.issuer}/token", data=form)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        print(
            f"no token from {settings.issuer} ({error}). Is the local stack up (make demo)?",
            file=sys.stderr,
        )
        raise typer.Exit(1) from error
    print(answer.json()["access_token"])


if __name__ == "__main__":
    cli()
