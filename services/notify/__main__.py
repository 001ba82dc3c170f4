"""`python -m services.notify api|listen|relay|migrate|all`."""

from services.notify import api, pages
from services.notify.commands import AGING
from services.notify.handlers import HANDLERS, TIMERS
from services.notify.mailing import send_pending
from services.notify.tables import Base
from shared.process import Service, main

SERVICE = Service(
    name="notify",
    handlers=HANDLERS,
    timers=TIMERS,
    routers=(api.router, pages.router),
    metadata=Base.metadata,
    jobs={"mailing": send_pending},
    aging=(AGING,),
)

if __name__ == "__main__":
    main(SERVICE)
