"""Every setting of Spanfold, in one object: defaults that work on one machine, overridden by SPANFOLD_* variables."""

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pipeline.secret_files import SecretFiles

DEFAULT_DATA_DIR = Path.home() / ".spanfold" / "data"


def _langfuse(name: str, variable: str) -> AliasChoices:
    """Also read Langfuse's own name for a setting."""
    return AliasChoices(f"SPANFOLD_{name.upper()}", variable)


class Settings(BaseSettings):
    """Read with `Settings()`; field `x` is the environment variable SPANFOLD_X. Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="SPANFOLD_", extra="ignore", frozen=True, populate_by_name=True)

    data_dir: Path = Field(DEFAULT_DATA_DIR, description="Where the embedded stack keeps its data and logs.")
    log_level: str = Field("info", description="debug, info, warning or error.")
    log_format: str = Field("text", description="text, or json for an object a line.")

    # Kafka
    kafka_bootstrap: str = Field("localhost:9092", description="Bootstrap servers, host:port, comma separated.")
    topic_prefix: str = Field("spanfold", description="Prefix of every topic and consumer group.")
    topic_partitions: int = Field(4, ge=1, description="Partitions of the events topic when Spanfold creates it.")
    topic_replication: int = Field(
        1,
        ge=1,
        description="Replication factor of the topics Spanfold creates; 3 in production, where 2 must be in sync.",
    )
    instance_id: str = Field("", description="Static group membership id of this worker; empty for none.")
    schema_registry: str = Field(
        "", description="For Confluent's framing: the URL of a schema registry, or a folder with files ID.avsc."
    )
    session_timeout: float = Field(10.0, description="Seconds until the group gives up a silent worker.")
    metadata_age: float = Field(
        10.0, ge=0.5, description="Seconds until a worker notices that the events topic has more partitions."
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="As Kafka names it: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "SCRAM-SHA-512", description="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER, with a SASL_ protocol."
    )
    kafka_username: str = Field("", description="SASL user of PLAIN and SCRAM.")
    kafka_password: SecretStr = Field(SecretStr(""), description="Password of that user.")
    kafka_token_path: str = Field("", description="OAUTHBEARER: a file with the token, read at every connection.")
    kafka_ca_path: str = Field("", description="PEM file of who may sign brokers' certificates; empty: the system's.")
    kafka_certificate_path: str = Field("", description="PEM file of our certificate, where brokers ask for one.")
    kafka_key_path: str = Field("", description="PEM file of its key; empty where the certificate's file holds it.")
    kafka_key_password: SecretStr = Field(SecretStr(""), description="Password of that key, where it has one.")

    # ClickHouse
    clickhouse_url: str = Field("http://localhost:8123", description="HTTP interface of ClickHouse.")
    clickhouse_user: str = Field("default", description="User for reading and writing.")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="Password of that user.")
    clickhouse_database: str = Field("spanfold", description="Database that holds tables and views.")
    clickhouse_cluster: str = Field("", description="Cluster name; set, tables are made Replicated on that cluster.")
    clickhouse_ca_path: str = Field(
        "", description="With an https URL: PEM file of who may sign the server's certificate; empty: the system's."
    )

    # Registry
    registry_url: str = Field("", description="SQLAlchemy URL; empty for a SQLite file under data_dir.")
    init_project_id: str = Field("", validation_alias=_langfuse("init_project_id", "LANGFUSE_INIT_PROJECT_ID"))
    init_project_name: str = Field("", validation_alias=_langfuse("init_project_name", "LANGFUSE_INIT_PROJECT_NAME"))
    init_org_id: str = Field("", validation_alias=_langfuse("init_org_id", "LANGFUSE_INIT_ORG_ID"))
    init_org_name: str = Field("", validation_alias=_langfuse("init_org_name", "LANGFUSE_INIT_ORG_NAME"))
    init_project_public_key: str = Field(
        "", validation_alias=_langfuse("init_project_public_key", "LANGFUSE_INIT_PROJECT_PUBLIC_KEY")
    )
    init_project_secret_key: SecretStr = Field(
        SecretStr(""), validation_alias=_langfuse("init_project_secret_key", "LANGFUSE_INIT_PROJECT_SECRET_KEY")
    )

    # Cost
    prices_file: str = Field("", description="A price document that is published when a stack starts.")
    prices_refresh: float = Field(
        5.0, gt=0, le=10, description="Seconds between a worker's looks for newly published prices."
    )

    # Ingest
    http_host: str = Field("127.0.0.1", description="Address the front door listens on.")
    http_port: int = Field(3000, ge=0, le=65535, description="Port of the front door.")
    grpc_port: int = Field(4317, ge=-1, le=65535, description="Port of OTLP over gRPC; 0 a free one, -1 none.")
    max_export_bytes: int = Field(16 * 2**20, ge=1, description="Largest OTLP export, as it comes and unpacked.")
    max_body_bytes: int = Field(4_500_000, description="Largest request body of the batch endpoint.")
    max_event_bytes: int = Field(4_500_000, description="Largest single event, on every route.")
    produce_timeout: float = Field(
        10.0, gt=0, description="Seconds a request waits for Kafka before it is answered 503."
    )
    held_bytes: int = Field(256 * 2**20, ge=1, description="Bytes of unanswered requests held; more are answered 503.")
    crowd_wait: float = Field(
        1.0, ge=0, description="Where a crowd of requests has waited so many seconds, new ones are 503. 0: never."
    )
    max_batch_events: int = Field(10_000, ge=1, description="Most events of one request.")
    max_header_bytes: int = Field(32 * 1024, ge=1024, description="Longest request line and headers together.")
    header_timeout: float = Field(10.0, gt=0, description="Seconds in which a client must have sent its headers.")
    rate_requests: int = Field(2_000, ge=0, description="Requests per second and project, per process; 0: no limit.")
    rate_events: int = Field(100_000, ge=0, description="Events per second and project, per process; 0: no limit.")
    rate_bytes: int = Field(200 * 2**20, ge=0, description="Bytes of bodies per second and project; 0: no limit.")
    rate_burst: float = Field(5.0, gt=0, description="So many seconds' worth may come at once.")
    fair_events: int = Field(
        2_000,
        ge=0,
        description="Events per second, project and process that go straight to workers while others send, too; what "
        "is beyond waits on the overflow topic. 0: no overflow.",
    )
    max_lag: int = Field(
        0, ge=0, description="Events that workers may be behind; above it the front door answers 503. 0: no limit."
    )
    http_certificate_path: str = Field(
        "", description="PEM file of the front door's certificate: HTTPS and gRPC over TLS."
    )
    http_key_path: str = Field("", description="PEM file of its key; empty where the certificate's file holds it.")

    # Media
    blob_url: str = Field("", description="Folder or fsspec URL for media; empty for `blobs` under data_dir.")
    public_url: str = Field("", description="Where clients reach the front door; empty: as each request names it.")
    media_secret: SecretStr = Field(
        SecretStr(""),
        description="Signs URLs of media, the same for all front doors; empty: made once in data_dir.",
    )
    max_media_bytes: int = Field(1_000_000_000, ge=1, description="Largest medium.")

    # Stream
    flush_interval: float = Field(0.4, gt=0, description="Longest time between two flushes to the store.")
    flush_events: int = Field(20_000, ge=1, description="A flush starts early at this many events.")
    pending_events: int = Field(60_000, ge=1, description="Consuming pauses when this many events wait for the store.")
    pending_bytes: int = Field(64 * 2**20, ge=1, description="Or when so many bytes of events wait.")
    memory_bytes: int = Field(
        960 * 2**20,
        ge=320 * 2**20,
        description="Memory of a worker: above it, by its own estimate, traces leave and consuming pauses.",
    )
    fresh_first: float = Field(
        0.0, ge=0, description="Events older than so many seconds go to the overflow: fresh ones first. 0: in order."
    )
    poll_records: int = Field(4_000, ge=1, description="Most records handed over by one poll.")
    first: float = Field(0.4, ge=0, description="Seconds that a trace's first row waits for what comes along with it.")
    hold: float = Field(
        1.0, ge=0, description="Seconds that the row of an open observation waits for its end; 0 writes every state."
    )
    rest: float = Field(
        5.0, ge=0, description="Longest wait of rows that follow from others (sums, attributes) in a lively trace."
    )
    settle_quiet: float = Field(2.0, description="A trace settles this long after its last event, its root ended.")
    settle_idle: float = Field(60.0, description="A trace settles this long after its last event, root or not.")
    settle_longest: float = Field(
        86_400.0, gt=0, description="A trace settles this long after it opened, however lively."
    )
    resident_traces: int = Field(200_000, ge=1, description="Traces kept in memory; settled ones leave first.")
    trace_bytes: int = Field(
        64 * 2**20, ge=1, description="Memory of one trace; beyond, what is written of it leaves and is read back."
    )
    open_traces: int = Field(2_000_000, ge=1, description="Open traces, in memory or not; beyond, the oldest settle.")
    resident_bytes: int = Field(
        384 * 2**20,
        ge=1,
        description="Memory of the traces kept, where SPANFOLD_MEMORY_BYTES leaves so much.",
    )
    guard_share: float = Field(
        0.5, gt=0, le=1, description="Share of recent records that fail to decode at which a worker checks itself."
    )
    guard_count: int = Field(100, ge=1, description="Fewer failures than this raise no suspicion.")
    guard_window: float = Field(60.0, gt=0, description="What counts as recent.")

    # Metrics and health
    metrics_host: str = Field("127.0.0.1", description="Address on which workers and evaluators show metrics.")
    metrics_port: int = Field(
        -1,
        ge=-1,
        le=65535,
        description="Port on which they do, and answer /health/live and /ready; 0: a free one, -1: none.",
    )

    otel_endpoint: str = Field(
        "", description="URL of OTLP over HTTP for traces of the pipeline itself; empty for none. Needs spanfold[otel]."
    )
    stuck_after: float = Field(
        15.0, gt=0, description="Seconds without a turn of its event loop after which a process counts as stuck."
    )

    # Evaluation
    first_rule_sampling: float = Field(
        0.1, ge=0, le=1, description="Share of traces that a new project's rule `has_output` looks at; 0 makes no rule."
    )

    media_interval: float = Field(
        86_400.0, ge=0, description="Seconds between two looks for media that no row refers to any more; 0: never."
    )

    # Ledger and audit
    ledger_days: int = Field(
        400, ge=30, le=36_500, description="Days that the ledger's tables stay; more than the log keeps records."
    )
    watch_interval: float = Field(
        60.0, ge=0, description="Seconds between two looks of ledger and audit at what is recent; 0: they never look."
    )
    audit_contents_share: float = Field(
        0.01, ge=0, le=1, description="Share of recent traces of which the audit also compares what their rows say."
    )
    audit_fix: bool = Field(False, description="Whether the audit that runs by itself also mends what it finds.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then files that SPANFOLD_X_FILE names (pipeline/secret_files.py)."""
        return init_settings, env_settings, SecretFiles(settings_cls)

    @cached_property
    def events_topic(self) -> str:
        """Raw events, keyed by PROJECT/TRACE."""
        return f"{self.topic_prefix}.events"

    @cached_property
    def overflow_topic(self) -> str:
        """Events that workers take when they have nothing else to do."""
        return f"{self.topic_prefix}.events.overflow"

    @cached_property
    def overflow_group(self) -> str:
        """Under which the position on the overflow topic is kept; a group without members."""
        return f"{self.topic_prefix}-overflow"

    @cached_property
    def fold_group(self) -> str:
        """The consumer group of the workers."""
        return f"{self.topic_prefix}-fold"

    @cached_property
    def evaluations_topic(self) -> str:
        """Requests to evaluate a settled trace."""
        return f"{self.topic_prefix}.evaluations"

    @cached_property
    def dead_letters_topic(self) -> str:
        """Records that could not be processed, with the reason."""
        return f"{self.topic_prefix}.dead-letters"

    @cached_property
    def edge_counts_topic(self) -> str:
        """What front doors have accepted, for the ledger."""
        return f"{self.topic_prefix}.edge-counts"

    @cached_property
    def blobs(self) -> str:
        """Where media are kept, as fsspec names it."""
        return self.blob_url or str(self.data_dir / "blobs")

    @cached_property
    def registry(self) -> str:
        """The registry's SQLAlchemy URL."""
        return self.registry_url or f"sqlite:///{self.data_dir / 'registry.sqlite'}"
