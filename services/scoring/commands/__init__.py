"""What changes the query side's tables: events stored, state folded, parties, alerts, outcomes."""
