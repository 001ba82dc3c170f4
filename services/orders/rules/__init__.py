"""What orders decides, as pure functions: no database, no Kafka, no clock."""
