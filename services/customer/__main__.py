"""`python -m services.customer api|listen|relay|migrate|all`."""

from services.customer import api, pages
from services.customer.commands import intake
from services.customer.commands.sweep import sweep_timeline
from services.customer.handlers import HANDLERS, TIMERS
from services.customer.tables import Base
from shared.process import Service, main

SERVICE = Service(
    name="customer",
    handlers=HANDLERS,
    timers=TIMERS,
    routers=(api.router, pages.router),
    metadata=Base.metadata,
    jobs={"sweep_timeline": sweep_timeline},
    aging=(intake.AGING,),
)

if __name__ == "__main__":
    main(SERVICE)
