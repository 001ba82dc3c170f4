"""Orders: from a quote to a closed order.

Owns: products, custom attributes of orders, quotes and their versions, orders with lines,
approvals, execution plans, receivables and payments, the reminder before collection.
Hears: bank.events (payments), bank.reference (products, sources, the date of going live),
customer.events (which numbers a party has), notice.deliveries (was a reminder told),
task.handoffs (whose desk an order is on), staff.directory.
Says: order.lifecycle, and notice.requests when a reminder must be held.
"""
