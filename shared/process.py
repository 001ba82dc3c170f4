"""The roles of a service's process: api, listen, relay, migrate, and what a service adds; `all`
runs three in threads."""

import gc
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType

import structlog
import typer
import uvicorn

from shared import dead_letters, forgetting, inbox, logs
from shared.metrics import LAG, LISTENER_UP
from shared.positions import ListenerStopped
from shared.runtime import Runtime, Service
from shared.settings import Settings

log = structlog.get_logger()

__all__ = ["Runtime", "Service", "cli", "main", "run_roles"]


def main(service: Service) -> None:
    """`python -m services.<name> api|listen|relay|migrate|all`."""
    cli(service)()


def cli(service: Service) -> typer.Typer:
    """The command line of a service; a service adds commands of its own to it."""
    app = typer.Typer(
        help=f"Guanxi {service.name}: its roles.", no_args_is_help=True, add_completion=False
    )

    def role(name: str, roles: tuple[str, ...], text: str) -> None:
        @app.command(name, help=text)
        def run() -> None:
            settings = settings_of(service)
            logs.configure(service.name, settings.log_level, as_json=settings.log_json)
            run_roles(Runtime(service, settings), roles)

    role("api", ("api",), "Serve HTTP: pages, API, health, metrics.")
    role("listen", ("listen",), "Apply events and fire timers; serve health and metrics.")
    role("relay", ("relay",), "Publish the outbox in order; serve health and metrics.")
    for name, (_, text) in service.roles.items():
        role(name, (name,), text)
    role("all", ("api", "listen", "relay"), "All three in one process (the local stack).")

    @app.command("migrate", help="Make role and schema, then bring the schema up to date.")
    def migrate() -> None:
        from shared.migrations import migrate as run_migrations  # alembic is for this role only

        settings = settings_of(service)
        logs.configure(service.name, settings.log_level, as_json=settings.log_json)
        run_migrations(settings)

    return app


def settings_of(service: Service) -> Settings:
    settings = Settings(service=service.name)
    settings.refuse_unsafe_key()
    return settings


def run_roles(runtime: Runtime, roles: tuple[str, ...]) -> None:
    """Runs until SIGTERM or SIGINT, then stops in order: requests, listener, relay."""
    spare_the_collector()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _n, _f: _ask_stop(stop, _n, _f))
    threads = []
    if "listen" in roles:
        threads += [_thread(name, work) for name, work in work_of_listen(runtime, stop).items()]
    threads += [
        _thread(name, partial(work, runtime, stop))
        for name, (work, _) in runtime.service.roles.items()
        if name in roles
    ]
    if "relay" in roles:
        threads.append(_thread("relay", lambda: runtime.relay().run(stop)))
    if {"listen", "api"} & set(roles):
        lag = partial(watch_lag, runtime, stop, counted="listen" in roles)
        threads.append(_thread("lag", lag))
    if "api" in roles:
        threads.append(_thread("directory", lambda: learn_directory(runtime, stop)))
    _serve(runtime, stop, whole="api" in roles)
    for thread in threads:
        thread.join(timeout=15)
    runtime.close()


def spare_the_collector() -> None:
    """A batch makes tens of thousands of objects and hardly a cycle: at the stock threshold of 700
    the collector walked them all the time, half of what a listener did under load."""
    gc.collect()
    gc.freeze()  # what was imported stays
    gc.set_threshold(50_000, 20, 50)


def work_of_listen(runtime: Runtime, stop: threading.Event) -> dict[str, Callable[[], None]]:
    """The threads of the listen role: the same two in every service, and the service's jobs."""
    aging = (inbox.AGING, dead_letters.AGING, *runtime.service.aging)
    return {
        "listen": partial(listen, runtime, stop),
        "forget": partial(forgetting.forget_daily, runtime.database, aging, stop),
        **{name: partial(job, runtime, stop) for name, job in runtime.service.jobs.items()},
    }


def _ask_stop(stop: threading.Event, number: int, _frame: FrameType | None) -> None:
    log.info("stopping", signal=signal.Signals(number).name)
    stop.set()


def _thread(name: str, work: Callable[[], None]) -> threading.Thread:
    def guarded() -> None:
        try:
            work()
        except Exception:
            log.exception("role_ended", role=name)
            signal.raise_signal(signal.SIGTERM)  # a process without its role must be restarted

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread


def listen(runtime: Runtime, stop: threading.Event) -> None:
    """The listener; builds it again while the broker is away. Stops for good only by decision."""
    while not stop.is_set():
        try:
            source = runtime.source()
        except Exception as error:
            log.warning("listener_waits_for_broker", error=str(error)[:200])
            stop.wait(1.0)
            continue
        listener = runtime.listener(source)
        runtime.listener_beat = partial(getattr, listener, "beat")
        LISTENER_UP.labels(runtime.service.name).set(1)
        try:
            listener.run(stop)
        except ListenerStopped as reason:
            runtime.stopped = str(reason)
            runtime.listener_beat = None
            LISTENER_UP.labels(runtime.service.name).set(0)
            log.error("listener_stopped", reason=str(reason))
            stop.wait()
        finally:
            source.close()


def watch_lag(runtime: Runtime, stop: threading.Event, *, counted: bool) -> None:
    """Messages on each topic that this service has not applied, every 5 s: for the ops page, and
    `counted` as a metric, which is the listener's. Also those that its worker has not taken."""
    ask_worker = runtime.service.worker_behind
    while not stop.is_set():
        try:
            runtime.behind = runtime.count_behind()
            runtime.worker_behind = ask_worker(runtime) if ask_worker else None
        except Exception as error:
            runtime.behind, runtime.worker_behind = {}, None
            log.warning("lag_unknown", error=str(error)[:200])
        else:
            for topic, messages in runtime.behind.items() if counted else ():
                LAG.labels(topic).set(messages)
        stop.wait(5.0)


def learn_directory(runtime: Runtime, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            runtime.learn_directory_end()
        except Exception as error:
            log.warning("directory_end_unknown", error=str(error)[:200])
            stop.wait(1.0)
        else:
            return


def _serve(runtime: Runtime, stop: threading.Event, *, whole: bool) -> None:
    """Serves until told to stop: the service, or without the api role health and metrics only."""
    from shared.health import health_app
    from shared.http import create_app

    config = uvicorn.Config(
        create_app(runtime) if whole else health_app(runtime),
        host=runtime.settings.http_host,
        port=runtime.settings.http_port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="http", daemon=True)
    thread.start()
    while thread.is_alive() and not stop.wait(0.2):
        pass
    if not thread.is_alive():
        log.error("http_ended")  # the port is taken, or the server failed: say so by the exit
        stop.set()
        raise SystemExit(1)
    for act in runtime.on_stop:
        act()
    server.should_exit = True
    deadline = time.monotonic() + 10
    while thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)
