"""Names and values of the Kafka record headers that Spanfold writes and reads."""

CONTENT_TYPE = "content-type"
PROJECT = "spanfold-project"
RECEIVER = "spanfold-receiver"  # which route took the event in: "ingestion", "kafka", "evaluator" ...
RECEIVED_AT = "spanfold-received-at"  # microseconds since the epoch, decimal digits
MOVED = "spanfold-moved"  # how often a worker moved the record to another partition, decimal digits
MOVED_FROM = "spanfold-moved-from"  # where it was before its first move: TOPIC/PARTITION/MINUTE of the log

LANGFUSE_JSON = b"application/vnd.spanfold.langfuse+json"  # one event of a Langfuse batch, as it came
OTLP_PROTOBUF = b"application/x-protobuf"  # an OTLP export of spans of one trace, ExportTraceServiceRequest
OTLP_JSON = b"application/vnd.spanfold.otlp+json"  # the same in OTLP's JSON encoding
CANONICAL_JSON = b"application/vnd.spanfold.event+json"  # one canonical event, schemas/README.md
CANONICAL_AVRO = b"application/vnd.spanfold.event+avro"  # Avro single-object encoding
CONTENT_TYPES = (LANGFUSE_JSON, OTLP_PROTOBUF, OTLP_JSON, CANONICAL_JSON, CANONICAL_AVRO)

# Headers of a dead letter; the original headers are kept beside them.
DEAD_PREFIX = "spanfold-dead-"
DEAD_REASON = "spanfold-dead-reason"
DEAD_DETAIL = "spanfold-dead-detail"
DEAD_STAGE = "spanfold-dead-stage"
DEAD_TOPIC = "spanfold-dead-topic"
DEAD_PARTITION = "spanfold-dead-partition"
DEAD_OFFSET = "spanfold-dead-offset"
DEAD_ATTEMPTS = "spanfold-dead-attempts"  # how often the record was tried, this failure included
DEAD_FIRST = "spanfold-dead-first"  # when its first try failed, microseconds
DEAD_LAST = "spanfold-dead-last"  # when this one failed
DEAD_KEPT = "spanfold-dead-kept"  # "table": too large for the topic, the bytes are in the store
DEAD_TIMESTAMP = "spanfold-dead-timestamp"  # LogAppendTime of the source record, microseconds
DEAD_VERSION = "spanfold-dead-version"  # version of the code that gave up

# Headers of a record that is a dead letter's replay, beside its own.
ATTEMPT = "spanfold-attempt"  # the number of this try, from 2
FIRST_FAILED = "spanfold-first-failed"  # when the first one failed, microseconds
REPLAY_OF = "spanfold-replay-of"  # id of the dead letter: TOPIC/PARTITION/OFFSET it came from

REPLAY = frozenset({ATTEMPT, FIRST_FAILED, REPLAY_OF})
