"""Who may call what, written by hand: the test compares every route with it, both ways.

A new route fails the test until it has its line here. Write the permission that the bank would
expect, then look at the code: not the other way round.
"""

PUBLIC = "public"

# permission -> the demo's roles that hold it
MAY = {
    "customer.view": {"relationship_manager", "teller", "approver", "branch_head", "head_office"},
    "customer.search": {"relationship_manager", "teller", "approver", "branch_head", "head_office"},
    "customer.edit": {"relationship_manager", "branch_head"},
    "bank_events.publish": {"system_bank"},
    "order.view": {"relationship_manager", "teller", "approver", "branch_head", "head_office"},
    "order.edit": {"relationship_manager", "branch_head"},
    "order.submit": {"relationship_manager", "branch_head"},
    "order.approve": {"approver", "branch_head"},
    "order.collect": {"relationship_manager", "branch_head"},
    "task.view": {
        "relationship_manager", "teller", "approver", "branch_head", "head_office",
        "risk_officer", "ops", "administrator",
    },
    "task.act": {"relationship_manager", "teller", "approver", "branch_head"},
    "task.handoff": {"relationship_manager", "approver", "branch_head"},
    "process.view": {
        "relationship_manager", "teller", "approver", "branch_head", "head_office",
        "risk_officer", "ops", "administrator",
    },
    "process.edit": {"administrator"},
    "organisation.edit": {"administrator"},
    "score.view": {"relationship_manager", "approver", "branch_head", "head_office"},
    "alert.view": {"relationship_manager", "branch_head", "head_office"},
    "rules.view": {"risk_officer"},
    "rules.propose": {"risk_officer"},
    "rules.accept": {"risk_officer"},
    "notice.view": {
        "relationship_manager", "teller", "approver", "branch_head", "head_office",
        "risk_officer", "ops", "administrator",
    },
    "ops.view": {"ops", "administrator"},
    "ops.act": {"ops", "administrator"},
    PUBLIC: {
        "relationship_manager", "teller", "approver", "branch_head", "head_office",
        "risk_officer", "ops", "administrator",
        "system_bank", "nobody",
    },
}  # fmt: skip

# the same in every service
SHARED = """
GET  /health/live                           public
GET  /health/ready                          public
GET  /metrics                               public
GET  /ops/state                             ops.view
GET  /ops/fragment                          ops.view
POST /ops/letters/{letter_id}/replay        ops.act
POST /ops/letters/{letter_id}/discard       ops.act
"""

ROUTES = {
    "customer": """
GET    /search                                  customer.search
GET    /search/hits                             customer.search
GET    /parties/{party_id}                      customer.view
GET    /parties/{party_id}/head                 customer.view
GET    /parties/{party_id}/tabs/{tab}           customer.view
POST   /parties/{party_id}/clear                customer.edit
POST   /parties/{party_id}/merge                customer.edit
POST   /merges/{merge_id}/undo                  customer.edit
GET    /labels                                  customer.view
GET    /api/search                              customer.search
GET    /api/parties/{party_id}                  customer.view
GET    /api/parties/{party_id}/timeline         customer.view
POST   /api/parties/{party_id}/personal         customer.edit
POST   /api/parties/{party_id}/merges           customer.edit
DELETE /api/merges/{merge_id}                   customer.edit
POST   /api/parties/{party_id}/service-requests customer.edit
POST   /bank-events                             bank_events.publish
""",
    "orders": """
GET  /orders                                    order.view
GET  /orders/{order_id}                         order.view
GET  /orders/{order_id}/panel                   order.view
GET  /orders/new                                order.edit
GET  /orders/{order_id}/edit                    order.edit
POST /forms/lines                               order.edit
POST /forms/totals                              order.edit
POST /forms/orders                              order.edit
POST /forms/orders/{order_id}                   order.edit
POST /forms/orders/{order_id}/submit            order.submit
POST /forms/orders/{order_id}/approve           order.approve
POST /forms/orders/{order_id}/refuse            order.approve
POST /forms/orders/{order_id}/cancel            order.edit
POST /forms/orders/{order_id}/deliver           order.edit
POST /forms/orders/{order_id}/remind-again      order.collect
POST /forms/payments/{transaction_id}/match     order.collect
GET  /quotes                                    order.view
GET  /quotes/{quote_id}                         order.view
GET  /quotes/new                                order.edit
GET  /quotes/{quote_id}/revise                  order.edit
POST /forms/quotes                              order.edit
POST /forms/quotes/{quote_id}                   order.edit
POST /forms/quotes/{quote_id}/offer             order.edit
GET  /api/orders                                order.view
GET  /api/orders/{order_id}                     order.view
POST /orders                                    order.edit
PUT  /orders/{order_id}                         order.edit
POST /orders/{order_id}/submit                  order.submit
POST /orders/{order_id}/approve                 order.approve
POST /orders/{order_id}/refuse                  order.approve
POST /orders/{order_id}/cancel                  order.edit
POST /orders/{order_id}/deliver                 order.edit
POST /orders/{order_id}/remind-again            order.collect
POST /payments/{transaction_id}/match           order.collect
GET  /api/quotes/{quote_id}                     order.view
POST /quotes                                    order.edit
POST /quotes/{quote_id}/versions                order.edit
POST /quotes/{quote_id}/offer                   order.edit
GET  /api/products                              order.view
PUT  /products/{product_code}                   organisation.edit
PUT  /attributes/{code}                         organisation.edit
""",
    "workflow": """
GET  /desk                                              task.view
GET  /desk/lists                                        task.view
POST /desk/tasks/{task_id}/claim                        task.act
GET  /desk/tasks/{task_id}/picker                       task.handoff
GET  /desk/tasks/{task_id}/participants                 task.act
POST /desk/tasks/{task_id}/hand-off                     task.handoff
POST /desk/delegation                                   task.act
POST /desk/delegation/end                               task.act
GET  /processes                                         process.view
GET  /processes/{instance_id}                           process.view
GET  /processes/{instance_id}/panel                     process.view
GET  /processes/{instance_id}/diagram                   process.view
POST /processes/{instance_id}/tasks/{task_id}/complete  task.act
POST /processes/{instance_id}/tasks/{task_id}/claim     task.act
POST /processes/{instance_id}/tasks/{task_id}/hand-off  task.handoff
GET  /organisation                                      task.view
GET  /organisation/chart                                task.view
GET  /organisation/staff/{staff_id}/forms               organisation.edit
POST /organisation/staff/{staff_id}/limits              organisation.edit
POST /organisation/staff/{staff_id}/capacity            organisation.edit
GET  /ops                                               ops.view
GET  /labels                                            task.view
GET  /api/desk                                          task.view
POST /api/tasks/{task_id}/claim                         task.act
POST /api/tasks/{task_id}/complete                      task.act
POST /api/tasks/{task_id}/hand-off                      task.handoff
POST /api/tasks/{task_id}/due                           task.handoff
GET  /api/tasks/{task_id}/candidates                    task.handoff
POST /api/delegations                                   task.act
GET  /api/processes/{instance_id}                       process.view
POST /api/definitions                                   process.edit
POST /api/staff/{staff_id}/grants                       organisation.edit
POST /api/staff/{staff_id}/limits                       organisation.edit
POST /api/staff/{staff_id}/capacity                     organisation.edit
""",
    "scoring": """
GET /contribution                               score.view
GET /contribution/value                         score.view
GET /contribution/value.csv                     score.view
GET /contribution/earned                        score.view
GET /contribution/earned.csv                    score.view
GET /contribution/leaves                        score.view
GET /contribution/leaves.csv                    score.view
GET /contribution/leaf                          score.view
GET /contribution/assignments                   score.view
GET /contribution/allocation                    score.view
GET /contribution/allocation/figures            score.view
GET /contribution/allocation.csv                score.view
GET /contribution/allocation/shares             score.view
GET /contribution/allocation/shares.csv         score.view
GET /contribution/month                         score.view
GET /contribution/month/figures                 score.view
GET /contribution/month.csv                     score.view
GET /contribution/plans                         score.view
GET /contribution/plans/figures                 score.view
GET /contribution/plans.csv                     score.view
GET /contribution/transactions                  score.view
GET /contribution/totals                        score.view
GET /contribution/ranking                       score.view
GET /contribution/parties/{party_id}            score.view
GET /contribution/parties/{party_id}/figures    score.view
GET /contribution/parties/{party_id}/events     score.view
GET /parties/{party_id}/score                   score.view
GET /ranking                                    score.view
GET /risk                                       alert.view
GET /risk/list                                  alert.view
GET /risk/alerts/{alert_id}                     alert.view
GET /risk/alerts/{alert_id}/panel               alert.view
GET /alerts                                     alert.view
GET /alerts/precision                           alert.view
GET /rules                                      rules.view
GET /rules/{number}                             rules.view
GET /rules/{number}/panel                       rules.view
POST /forms/rules                               rules.propose
POST /forms/rules/{number}/rehearse             rules.propose
POST /forms/rules/{number}/rehearsals/{rehearsal_id}/cancel rules.propose
POST /forms/rules/{number}/accept               rules.accept
POST /forms/rules/{number}/reject               rules.accept
POST /ops/worker-letters/{letter_id}/replay     ops.act
POST /ops/worker-letters/{letter_id}/discard    ops.act
""",
    "notify": """
GET  /stream                                    notice.view
GET  /inbox                                     notice.view
GET  /inbox/list                                notice.view
GET  /inbox/why/{notice_id:path}                notice.view
POST /inbox/acknowledge/{notice_id:path}        notice.view
POST /inbox/snooze/{notice_id:path}             notice.view
GET  /count                                     notice.view
GET  /notices                                   notice.view
GET  /notices/{notice_id:path}/why              notice.view
POST /notices/{notice_id:path}/acknowledge      notice.view
POST /notices/{notice_id:path}/snooze           notice.view
PUT  /preferences                               notice.view
""",
}


def table_of(service: str) -> dict[tuple[str, str], str]:
    """(method, path) to the permission that the route asks for."""
    lines = (ROUTES[service] + SHARED).split("\n")
    rows = [line.split() for line in lines if line.strip()]
    table = {(method, path): permission for method, path, permission in rows}
    assert len(table) == len(rows), "a route has two lines"
    return table
