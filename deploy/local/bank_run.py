"""The bank of the local stack: its history is published once, then it runs on in time-lapse."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from kafka.errors import KafkaError
from sqlalchemy.exc import SQLAlchemyError

from deploy.bank import berka
from deploy.bank.places import BRANCHES_MAX
from deploy.bank.simulation import DEFAULT_UNTIL
from deploy.bank.tables import path_of
from deploy.local.applied import Applied
from deploy.local.bank_time import BankTime
from deploy.local.children import Child
from deploy.local.places import GIVEN_MODEL, MODEL, StackError, save, saved

if TYPE_CHECKING:
    from deploy.local.system import Options

BERKA_UNTIL = date(1994, 3, 30)  # the last complete day of the part that is given here
ZONE = ZoneInfo("Asia/Shanghai")
StartChild = Callable[..., Child]


@dataclass
class _Step:
    """A child that must end well before the next step begins."""

    name: str
    arguments: list[str]


class BankRun:
    """history file -> publish -> applied by all -> live. What is done is remembered, so a restart
    goes on."""

    def __init__(
        self, options: "Options", folder: Path, clock: BankTime, start_child: StartChild
    ) -> None:
        self._options = options
        self._folder = folder
        self._time = clock
        self._start_child = start_child
        self._state_file = folder / "bank.json"
        self._model_file = folder / "model.json"
        self._state: dict[str, Any] = {}
        self._steps: list[_Step] = []
        self._running: tuple[_Step, Child] | None = None
        self._began = time.monotonic()
        self.ended: set[str] = set()
        self.is_live = False

    def remember(self) -> None:
        """The bank of this data folder: what it was first started with, whatever is asked now."""
        options = self._options
        asked = {
            "customers": options.customers,
            "days": options.days,
            "seed": options.seed,
            "data": str(options.data.resolve()) if options.data else None,
        }
        state = saved(self._state_file)
        if state is not None:
            kept = {name: state[name] for name in asked}
            if asked != kept and asked != _defaults(options):
                bank = kept["data"] or f"{kept['customers']} customers, {kept['days']} days"
                raise StackError(
                    f"{self._folder} holds another bank ({bank}): leave out N and DATA to go on "
                    "with it, FRESH=1 starts over with empty data"
                )
            self._refuse_other_model()
            self._state = {"branches_max": BRANCHES_MAX, **state}  # one of before had no limit
        else:
            self._keep_model()
            self._state = {
                **asked, "branches_max": options.branches_max, "published": False
            }  # fmt: skip
            save(self._state_file, self._state)

    @property
    def model(self) -> Path | None:
        """The model of risk that this bank began with; its workers' state is of it."""
        return self._model_file if self._model_file.exists() else None

    def _keep_model(self) -> None:
        given = os.environ.get(GIVEN_MODEL)
        if given:
            self._model_file.write_bytes(Path(given).read_bytes())
        elif not self._options.data:
            self._model_file.write_bytes(MODEL.read_bytes())

    def _refuse_other_model(self) -> None:
        given = os.environ.get(GIVEN_MODEL)
        kept = self._model_file.read_bytes() if self.model else b""
        if given and Path(given).read_bytes() != kept:
            raise StackError(
                f"{self._folder} holds a bank that began with another model of risk: propose "
                f"{given} (python -m services.scoring propose), or FRESH=1 starts over with it"
            )

    @property
    def history_end(self) -> datetime:
        """The last instant of the loaded history."""
        last = BERKA_UNTIL if self._state["data"] else DEFAULT_UNTIL
        return datetime.combine(last + timedelta(days=1), datetime.min.time(), ZONE)

    def begin(self, applied: Applied, say: Callable[[str], None]) -> None:
        """Starts the first step that is not done; `watch` starts the next ones. Also a history
        that an earlier run has published may have to be applied yet."""
        self._applied = applied
        history = self._folder / "history.jsonl"
        if not self._state["published"]:
            if not history.exists():
                self._steps.append(_Step("history", self._history_command(history)))
            self._steps.append(
                _Step("publish", ["deploy.bank", "publish", str(history)])
            )
            say("the bank's history is being written and published; pages can be used meanwhile")
        self._next(say)

    def _history_command(self, history: Path) -> list[str]:
        state = self._state
        if state["data"]:
            return ["deploy.bank", "berka", state["data"], "--src", "A",
                    "--until", BERKA_UNTIL.isoformat(), "-o", str(history)]
        return ["deploy.bank", "simulate", *self._plan(), "-o", str(history)]

    def watch(self, say: Callable[[str], None]) -> None:
        """One look: is the step done? Then the next."""
        if self._running is None:
            self._next(say)
            return
        step, child = self._running
        code = child.process.poll()
        if code is None:
            return
        if code != 0:
            raise StackError(f"{step.name} failed (code {code}):\n{child.last_words()}")
        self.ended.add(step.name)
        if step.name == "publish":
            self._state["published"] = True
            save(self._state_file, self._state)
            say(f"the history is published after {time.monotonic() - self._began:.1f} s")
        self._running = None
        self._next(say)

    def _next(self, say: Callable[[str], None]) -> None:
        if self._steps:
            step = self._steps.pop(0)
            self._running = (step, self._start_child(step.name, step.arguments))
            return
        if not self.is_live and self._is_applied():
            self.is_live = True
            self._time.run(self._options.factor)
            say(f"live after {time.monotonic() - self._began:.1f} s: a bank day takes "
                f"{86400 / self._options.factor:.0f} s")
            if self._options.live and not self._state["data"]:
                self._start_child("bank", self._live_command())

    def _is_applied(self) -> bool:
        """Has every service taken what was published? A server that is away cannot tell."""
        try:
            return self._applied.lag() == 0
        except (KafkaError, SQLAlchemyError):
            return False  # the supervisor starts it again and says so; the next look asks again

    def _live_command(self) -> list[str]:
        live = self._folder / "live.json"
        return ["deploy.bank", "live", *self._plan(), "--state", str(live)]

    def _plan(self) -> list[str]:
        state = self._state
        return [
            "--customers", str(state["customers"]), "--days", str(state["days"]),
            "--seed", str(state["seed"]), "--branches-max", str(state["branches_max"]),
        ]  # fmt: skip


def refuse_missing_model() -> None:
    """Before anything starts: is there a file where the environment says that a model is?"""
    given = os.environ.get(GIVEN_MODEL)
    if given and not Path(given).is_file():
        raise StackError(f"{GIVEN_MODEL}={given} is no file")


def refuse_other_data(folder: Path) -> None:
    """Before anything starts: is this a folder with the data set that the stack can play?"""
    if not folder.is_dir():
        raise StackError(f"DATA={folder} is no folder")
    missing = [n for n in berka.TABLES if not path_of(folder, n).exists()]
    if missing:
        raise StackError(f"DATA={folder} is not the Berka data set: it has no {missing[0]}.csv.gz")


def _defaults(options: "Options") -> dict[str, Any]:
    kind = type(options)
    return {"customers": kind.customers, "days": kind.days, "seed": kind.seed, "data": None}
