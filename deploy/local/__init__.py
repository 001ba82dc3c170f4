"""The embedded stack: real Kafka, PostgreSQL and Redis as child processes, nothing installed."""
