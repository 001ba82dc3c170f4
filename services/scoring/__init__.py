"""Contribution, risk and early warning, kept live for every customer number.

Owns: exact figures per customer and account, rule signals, models; on the query side parties,
totals, ranks and alerts.
Hears: worker: `bank.events`, `bank.reference`, `scoring.inputs`; query side: `bank.events` and all
that the worker says, `bank.reference`, our own topics.
Says: worker: `scoring.state`, `scoring.leaves`, `scoring.signals`, `scoring.totals`,
`scoring.dead`; query side: `score.updates`, `score.alerts`, and to the worker `scoring.inputs`.
"""
