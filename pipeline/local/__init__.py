"""The embedded stack: a real Kafka broker and ClickHouse's engine as processes of this machine, without Docker."""
