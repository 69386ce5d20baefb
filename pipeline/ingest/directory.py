"""Who may send: the registry's answers, remembered for a few seconds so that a request does not wait for a database.

Rule: a yes is believed for 5 s and a no for 2 s, so revoking a key or making one works within seconds. Secrets are not
kept, only their hash. A stranger's guesses fill a store of their own and cannot push out the answers for real keys;
the same question asked by many requests at once is asked once.
"""

import asyncio
import hashlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

from pipeline.registry import Project, Registry

BELIEVE_YES = 5.0
BELIEVE_NO = 2.0
_REMEMBERED = 10_000  # answers of each kind
_THREADS = 4

Question = tuple[str, bytes]  # public key; hash of the secret, or b"" where none was given


class Directory:
    """Asks the registry from threads of its own."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="registry")
        self._yes: Answers = Answers(BELIEVE_YES)
        self._no: Answers = Answers(BELIEVE_NO)
        self._asking: dict[Question, asyncio.Future[Project | None]] = {}

    def close(self) -> None:
        """End the threads; questions on their way are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def project_of(self, public_key: str, secret: str | None) -> Project | None:
        """The project of a valid key; a secret of None asks by the public key alone.

        Raises sqlalchemy.exc.SQLAlchemyError where the registry cannot be reached.
        """
        question = (public_key, hashlib.sha256(secret.encode()).digest() if secret is not None else b"")
        if project := self._yes.get(question):
            return project
        if question in self._no:
            return None
        if question not in self._asking:
            self._asking[question] = asyncio.ensure_future(self._ask(question, public_key, secret))
        return await asyncio.shield(self._asking[question])

    async def _ask(self, question: Question, public_key: str, secret: str | None) -> Project | None:
        loop, registry = asyncio.get_running_loop(), self._registry
        try:
            if secret is None:
                project = await loop.run_in_executor(self._threads, registry.project_by_public_key, public_key)
            else:
                project = await loop.run_in_executor(self._threads, registry.authenticate, public_key, secret)
        finally:
            del self._asking[question]
        (self._yes if project else self._no).put(question, project)
        return project


class Answers:
    """Answers that are believed for a while; the oldest leaves when there are too many."""

    def __init__(self, believe: float, limit: int = _REMEMBERED) -> None:
        self._believe = believe
        self._limit = limit
        self._answers: OrderedDict[Question, tuple[float, Project | None]] = OrderedDict()

    def __contains__(self, question: Question) -> bool:
        answer = self._answers.get(question)
        return answer is not None and answer[0] > monotonic()

    def get(self, question: Question) -> Project | None:
        """The project, or None where no answer is remembered."""
        return self._answers[question][1] if question in self else None

    def put(self, question: Question, project: Project | None) -> None:
        """Remember."""
        self._answers[question] = (monotonic() + self._believe, project)
        self._answers.move_to_end(question)
        if len(self._answers) > self._limit:
            self._answers.popitem(last=False)
