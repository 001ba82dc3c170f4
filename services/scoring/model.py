"""The model of the rules: a versioned file of thresholds and decay factors, all integers."""

from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.scoring.scores import activity, decay

FILE = Path(__file__).parent / "model_v1.json"


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Thresholds and factors. A factor is e^-(1/tau) at 60 bits; tau is there for the reader."""

    version: str
    activity_tau_days: int
    activity_day_factor: int
    balance_tau_days: int
    balance_day_factor: int
    gap_step_factor: int  # e^-(1/64) at 60 bits
    outflow_ppm: int
    outflow_clear_ppm: int
    outflow_mean_min_minor: int
    silence_gaps_milli: int
    silence_days_min: int
    silence_days_max: int
    silence_count_min: int
    silence_tenure_days_min: int

    @cached_property
    def activity_factors(self) -> NDArray[np.int64]:
        return decay.table(self.activity_day_factor)

    @cached_property
    def activity_mass(self) -> NDArray[np.int64]:
        return activity.mass_of(self.activity_factors)

    @cached_property
    def balance_factors(self) -> NDArray[np.int64]:
        return decay.table(self.balance_day_factor)

    @cached_property
    def gap_powers(self) -> NDArray[np.int64]:
        return decay.table(self.gap_step_factor)

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """The thresholds as the kernel takes them, in the order of `kernel.THRESHOLDS`."""
        return np.array(
            [
                self.outflow_ppm,
                self.outflow_clear_ppm,
                self.outflow_mean_min_minor,
                self.silence_gaps_milli,
                self.silence_days_min,
                self.silence_days_max,
                self.silence_count_min,
                self.silence_tenure_days_min,
            ],
            np.int64,
        )


def load(file: Path = FILE) -> Model:
    """The model in a file. Raises msgspec.ValidationError when a number is missing or unknown."""
    return msgspec.json.decode(file.read_bytes(), type=Model)
