"""workflow: the organisation, and the work that people do in processes.

Owns: departments, posts, staff, roles, permissions, limits, absences; process definitions
(BPMN 2.0), instances, tasks, handoffs, delegation, deadlines.
Hears: score.alerts (alerts become work), customer.events (whose customer it is),
order.lifecycle (approvals), bank.reference (when the bank went live), staff.directory.
Says: task.handoffs, staff.directory, notice.requests.
"""
