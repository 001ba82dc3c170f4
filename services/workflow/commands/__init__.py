"""Writes of workflow, by noun: organisation, definitions, instances, tasks, alerts, approvals."""
