"""What the server of `tests.processes` holds ready: every service's code, the worker's kernels."""

from deploy.local.places import LOCAL, alone
from services.customer import api as customer
from services.notify import api as notify
from services.orders import api as orders
from services.scoring import api as scoring
from services.scoring import warm, worker
from services.workflow import api as workflow
from shared import process

__all__ = ["customer", "notify", "orders", "process", "scoring", "worker", "workflow"]

with alone(LOCAL / "kernels"):  # the others of the run load what the first has compiled
    warm.compile_kernels()
