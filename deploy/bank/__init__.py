"""A bank to listen to: a simulator with known truth, adapters of data sets, a publisher.

Uses shared.events and shared.wire only; no service knows that it exists.
"""
