"""The Faust table whose store is the engine's columns and whose changelog is `scoring.state`."""

import gc
import os
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import structlog
from faust.stores.base import Store
from faust.tables.table import Table

from services.scoring.engine import Engine
from services.scoring.restoring import restore
from services.scoring.told import last_totals

log = structlog.get_logger()
_EXIT_CODE = 70


def die(reason: str) -> NoReturn:
    """Ends the process at once. In-memory state may not be trusted; the next start recovers it."""
    log.critical("worker_dies", reason=reason)
    os._exit(_EXIT_CODE)


class ColumnStore(Store):  # type: ignore[misc]
    """Recovers partitions of the engine; reads and writes of single keys are not its business."""

    def __init__(self, url: Any, app: Any, table: Any, *, engine: Engine,
                 fatal: Callable[[str], Any] = die, **kwargs: Any) -> None:  # fmt: skip
        super().__init__(url, app, table, **kwargs)
        self._engine = engine
        self._fatal = fatal

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:
        """Takes records of the changelog. Any error is fatal: Faust would retry it for ever."""
        for event in batch:
            message = event.message
            try:
                restore(
                    self._engine.partition(message.partition),
                    ((record.key, record.value) for record in event.value),
                )
            except Exception as error:
                self._fatal(f"recovery of partition {message.partition} failed: {error!r}")

    async def on_recovery_completed(self, active_tps: set[Any], standby_tps: set[Any]) -> None:
        """Forgets partitions of others, arms the timers, and freezes what was recovered."""
        mine = {tp.partition for tp in active_tps} | {tp.partition for tp in standby_tps}
        for number in [n for n in self._engine.partitions if n not in mine]:
            del self._engine.partitions[number]
            self.app.told.pop(number, None)
        try:
            fresh = sorted(mine - self.app.told.keys())
            self.app.told |= await last_totals(self.app.settings, fresh)
            await self.app.reference.catch_up()  # the state may have lived by a set not read here
            for partition in self._engine.partitions.values():
                self._engine.recovered(partition)
        except Exception as error:
            self._fatal(f"recovery failed: {error!r}")
        gc.collect()
        gc.freeze()  # millions of rows are never walked again
        log.info(
            "recovered",
            partitions=sorted(mine),
            customers=sum(len(p.numbers) for p in self._engine.partitions.values()),
        )

    def persisted_offset(self, tp: Any) -> None:
        return None

    def set_persisted_offset(self, tp: Any, offset: int) -> None:
        """Nothing is kept on disk: the changelog is the only copy."""

    async def need_active_standby_for(self, tp: Any) -> bool:
        return True

    def reset_state(self) -> None:
        """Faust asks before a start; a fresh process has none."""

    async def backup_partition(self, *args: Any, **kwargs: Any) -> None:
        """The changelog is the backup."""

    def restore_backup(self, *args: Any, **kwargs: Any) -> None:
        """The changelog is the backup."""

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError("rows change in the kernel only")

    def __delitem__(self, key: Any) -> None:
        raise TypeError("rows change in the kernel only")

    def __contains__(self, key: Any) -> bool:
        return False

    def __len__(self) -> int:
        return sum(len(p.numbers) for p in self._engine.partitions.values())

    def __iter__(self) -> Any:
        return iter(())


class ColumnTable(Table):  # type: ignore[misc]
    """A table that Faust assigns and recovers; its rows live in the engine."""

    def __init__(self, app: Any, *, engine: Engine, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._engine = engine

    def _new_store(self) -> ColumnStore:
        return ColumnStore(
            "columns://", self.app, self, table_name=self.name, key_type=bytes, value_type=bytes,
            engine=self._engine,
        )  # fmt: skip
