"""A real Apache Kafka broker as a child process: one KRaft node on 127.0.0.1, without Docker and without Maven.

Rule: everything it has is under `data`: the configuration (written anew at each start, so ports may change), the
topics (formatted once, with a cluster id that stays) and the logs. A broker killed at any moment starts again on the
same data and still has every record that it acknowledged.
Fails with BrokerError, which quotes the broker's own last words, when it dies or does not answer in time; with
MissingPrerequisiteError when Java or the jars are missing.
Configured by infra/kafka/broker.properties and infra/kafka/log4j2.properties.

A supervisor uses `prepare`, `command`, `wait_ready`; tests and small programs `start`, `stop`, `kill`.
"""

import asyncio
import base64
import os
import string
import subprocess
import time
import uuid
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from pipeline.errors import SpanfoldError
from pipeline.local.data_files import infra_file
from pipeline.local.jars import kafka_jars
from pipeline.local.java import find_java
from pipeline.local.kafka_probe import answering_cluster, last_words
from pipeline.local.ports import LOOPBACK, is_open

START_WITHIN = 60.0  # seconds; 2 s on an idle machine
STOP_WITHIN = 8.0  # seconds until SIGKILL; `spanfold up` has 10 for everything
_FORMAT_WITHIN = 60.0
_POLL = 0.05


class BrokerError(SpanfoldError):
    """The embedded broker could not be formatted or started, or died."""


class LocalKafka:
    """One broker on `port` with its data under `data`. `heap` is a JVM size; `logs` defaults to data/logs."""

    def __init__(
        self, data: Path, port: int, controller_port: int, *, heap: str = "512m", logs: Path | None = None
    ) -> None:
        self.data = data.absolute()
        self.port = port
        self.controller_port = controller_port
        self.heap = heap
        self.logs = (logs or self.data / "logs").absolute()
        self.bootstrap = f"{LOOPBACK}:{port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def cluster_id(self) -> str | None:
        """The id given when the data was formatted; None before."""
        meta = self._topics / "meta.properties"
        if not meta.is_file():
            return None
        lines = meta.read_text(encoding="utf-8").splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith("cluster.id="))

    @property
    def pid(self) -> int | None:
        """The process that `start` made, while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def prepare(self) -> None:
        """Fetch what is missing, write the configuration, format the storage if it is new. Safe to repeat."""
        self._topics.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        self._configure()
        if self.cluster_id is None:
            self._format(_new_cluster_id())

    def _configure(self) -> None:
        template = string.Template(infra_file("kafka/broker.properties").read_text(encoding="utf-8"))
        self._configuration.write_text(
            template.substitute(port=self.port, controller_port=self.controller_port, log_dir=self._topics),
            encoding="utf-8",
        )

    def _format_arguments(self) -> list[str]:
        """More for the tool that formats the storage, such as users; the embedded broker has none."""
        return []

    def command(self) -> list[str]:
        """The command that runs the broker in the foreground; it stops cleanly on SIGTERM. Call `prepare` first."""
        return [*self._java, "kafka.Kafka", str(self._configuration)]

    def wait_ready(self, deadline: float = START_WITHIN, alive: Callable[[], bool] | None = None) -> None:
        """Return when our broker answers a metadata request; `deadline` in seconds from now.

        `alive` tells whether the process still runs (default: the one that `start` made). Blocks: call it in a thread
        from async code. Raises BrokerError when the broker is dead or the deadline has passed.
        """
        alive = alive or (lambda: self.pid is not None)
        until = time.monotonic() + deadline
        while not self._answers():
            if not alive():
                raise self._failure("ended while it was starting")
            if time.monotonic() > until:
                raise self._failure(f"did not answer within {deadline:g} s")
            time.sleep(_POLL)

    def start(self, deadline: float = START_WITHIN) -> None:
        """Prepare, start the process and wait until it is ready; a broker that does not become ready is stopped."""
        self.prepare()
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C in a terminal is for us; we stop the broker when its clients are done
            )
        try:
            self.wait_ready(deadline)
        except BaseException:
            self.kill()
            raise

    def stop(self, deadline: float = STOP_WITHIN) -> None:
        """SIGTERM, then SIGKILL after `deadline` seconds. Does nothing when no process runs."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, as a crash would; `start` then recovers the data."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def _topics(self) -> Path:
        return self.data / "topics"

    @property
    def _configuration(self) -> Path:
        return self.data / "server.properties"

    @property
    def _output(self) -> Path:
        """What the JVM itself prints; the broker logs to kafka.log beside it."""
        return self.logs / "kafka.out"

    @cached_property
    def _java(self) -> list[str]:
        """Java with its flags and the class path; Kafka's main class comes next."""
        return [
            str(find_java()),
            f"-Xmx{self.heap}",
            "-XX:+UseSerialGC",  # the two flags that make the start quick and the process small
            "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError",
            f"-XX:ErrorFile={self.logs / 'kafka-crash.log'}",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={infra_file('kafka/log4j2.properties').as_uri()}",
            "-Dlog4j2.disableJmx=true",
            f"-Dspanfold.logs={self.logs}",
            "-cp",
            os.pathsep.join(str(jar) for jar in kafka_jars()),
        ]

    def _format(self, cluster_id: str) -> None:
        tool = ["kafka.tools.StorageTool", "format", "--cluster-id", cluster_id, "--config", str(self._configuration)]
        tool += self._format_arguments()
        try:
            subprocess.run([*self._java, *tool], capture_output=True, text=True, timeout=_FORMAT_WITHIN, check=True)
        except subprocess.SubprocessError as error:
            said = (getattr(error, "stderr", None) or getattr(error, "stdout", None) or str(error)).strip()
            raise BrokerError(
                f"Kafka's storage in {self._topics} could not be formatted: {said}",
                remedy="Check that the folder is writable and has free space.",
            ) from error

    def _answers(self) -> bool:
        if not is_open(self.port):  # asking sooner would fill the client's log with refused connections
            return False
        answering = asyncio.run(answering_cluster(self.bootstrap))
        return answering is not None and answering == self.cluster_id

    def _failure(self, what: str) -> BrokerError:
        log = self.logs / "kafka.log"
        return BrokerError(
            f"The Kafka broker at {self.bootstrap} {what}. Its last words:\n{last_words(log, self._output)}\n",
            remedy=f"The whole story is in {log}; if the port is taken, choose another.",
        )


def _new_cluster_id() -> str:
    """A random id in Kafka's form (22 characters); none with a leading dash, which would read as an option."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        continue
    return text
