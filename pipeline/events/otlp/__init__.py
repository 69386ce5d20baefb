"""OpenTelemetry's protocol, traces only: exports cut into spans, spans read from protobuf and JSON, spans to events."""
