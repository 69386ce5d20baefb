"""Where the parts of a stack will listen, decided before anything starts."""

from dataclasses import dataclass

from pipeline.config import Settings
from pipeline.errors import MissingPrerequisiteError
from pipeline.local.ports import find_free_ports, is_open

NO_PORT = -1
KAFKA = 9092
CLICKHOUSE = 8123


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of this machine. Kafka's controller has no user, so it takes any that is free."""

    http: int
    grpc: int
    clickhouse: int
    kafka: int
    controller: int


def plan_ports(
    settings: Settings, http: int | None, clickhouse: int | None, kafka: int | None, grpc: int | None = None
) -> Ports:
    """The ports asked for; None is the default of each, 0 a free one; `http` = 0 makes the defaults of all 0.

    gRPC may be switched off by a setting; its port is then negative.
    Raises MissingPrerequisiteError when a port that was asked for is taken.
    """
    front = settings.http_port if http is None else http
    given = "grpc_port" in settings.model_fields_set
    grpc = grpc if grpc is not None else settings.grpc_port if front or given else 0
    wanted = {
        "--port": front,
        "--grpc-port": grpc,
        "--clickhouse-port": clickhouse if clickhouse is not None else (CLICKHOUSE if front else 0),
        "--kafka-port": kafka if kafka is not None else (KAFKA if front else 0),
    }
    for option, port in wanted.items():
        if port > 0 and is_open(port):
            raise MissingPrerequisiteError(
                f"Port {port} is in use by another program.",
                remedy=f"Stop that program, or choose another port: spanfold up {option} PORT (0 picks a free one).",
            )
    free = iter(find_free_ports(len(wanted) + 1))
    first, otlp, second, third = (port or next(free) for port in wanted.values())
    return Ports(http=first, grpc=otlp, clickhouse=second, kafka=third, controller=next(free))


def plan_metrics_ports(settings: Settings, count: int) -> list[int]:
    """Where so many processes show their metrics: free ports, or those that follow upon SPANFOLD_METRICS_PORT.

    By -1 none does. Raises MissingPrerequisiteError when a port that follows from the setting is taken.
    """
    first = settings.metrics_port if "metrics_port" in settings.model_fields_set else 0
    if first <= 0:
        return [NO_PORT] * count if first else find_free_ports(count)
    ports = list(range(first, first + count))
    if taken := [port for port in ports if is_open(port)]:
        raise MissingPrerequisiteError(
            f"Port {taken[0]}, for the metrics of a process, is in use by another program.",
            remedy=f"Set SPANFOLD_METRICS_PORT so that {count} ports from it on are free, or to 0 for any.",
        )
    return ports
