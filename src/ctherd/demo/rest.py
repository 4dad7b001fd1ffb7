"""The server's API as a user of the demo asks it: plain HTTP, one request after the other."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any, ClassVar, Final, NamedTuple, Self
from urllib.parse import urlsplit

from ctherd.demo.story import Story
from ctherd.errors import CtherdError

_PATIENCE_S: Final = 30.0


class NotAnswered(CtherdError):
    """The server did not answer as the story needs it."""

    code: ClassVar[str] = "demo"


class Answer(NamedTuple):
    """What the server said.

    Shape: *asked_s* and *answered_s* are by the monotonic clock.
    """

    status: int
    body: Any
    asked_s: float
    answered_s: float

    @property
    def took_ms(self) -> float:
        """How long it took."""
        return (self.answered_s - self.asked_s) * 1000


class Rest:
    """Asks one server over one connection, and shows what was asked and answered."""

    def __init__(self, story: Story, connection: HTTPConnection, token: str) -> None:
        self._story = story
        self._connection = connection
        self._token = token

    @classmethod
    @contextmanager
    def at(cls, story: Story, url: str, token: str) -> Iterator[Self]:
        """Connect to the server at *url* for as long as the context lasts."""
        connection = HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE_S)
        try:
            connection.connect()
            yield cls(story, connection, token)
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: Any = None, *, expect: int = 200) -> Answer:
        """Ask, and show it.

        Raises: NotAnswered if the answer has another status than *expect*.
        """
        told = None if body is None else json.dumps(body)
        headers = {"X-Auth-Token": self._token, "Content-Type": "application/json"}
        asked_s = time.monotonic()
        try:
            self._connection.request(method, path, told, headers)
            response = self._connection.getresponse()
            said = response.read()
        except (OSError, HTTPException) as error:
            raise NotAnswered(f"{method} {path}: {error}") from error
        answered_s = time.monotonic()
        answer = Answer(response.status, json.loads(said or b"null"), asked_s, answered_s)
        self._story.say(f"$ {method} {path}{f'  {told}' if told else ''}")
        self._story.quote(f"{answer.status} in {answer.took_ms:.0f} ms: {said.decode()}")
        if answer.status != expect:
            raise NotAnswered(f"{method} {path}: {answer.status}, where {expect} was expected")
        return answer
