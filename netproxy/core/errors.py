"""The tree of errors, sorted by who must act.

NetproxyError
├── ManifestError     the user: the input names something impossible (exit status 2)
├── NotFoundError     the user: no such object
├── ConflictError     the caller: read again and retry
│   ├── AlreadyExistsError   the name is taken
│   └── ExpiredError         the version is older than what is remembered: list again
├── ApiError          the API: it answered with a failure that has no type of its own here
│   └── UnavailableError     nobody answers, or not now: wait and ask again
├── StorageError      the host: what was to be kept could not be written, and nothing has changed
├── UnsupportedError  us: a feature that is not there, named
└── KernelError       the host: the kernel or a tool refused (carries the whole request)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self


class NetproxyError(Exception):
    """Root of all errors that netproxy raises on purpose."""

    details: Mapping[str, Any] | None = None
    """What an API says about the error beside its message, where that is not what the error's type says."""

    def with_details(self, **details: Any) -> Self:
        """The error with these details."""
        self.details = details
        return self


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one field of one object."""

    path: str
    message: str
    object_name: str = ""
    source: str = ""
    reason: str = "FieldValueInvalid"

    def __str__(self) -> str:
        """Read like the API server's message, with the file and the object in front.

        >>> str(Problem("spec.ports[1].port", "Invalid value: 70000", "Service default/web", "labs/x.yaml"))
        'labs/x.yaml: Service default/web: spec.ports[1].port: Invalid value: 70000'
        """
        return ": ".join(part for part in (self.source, self.object_name, self.path, self.message) if part)


class ManifestError(NetproxyError):
    """The input is wrong; `problems` lists everything that was found, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class NotFoundError(NetproxyError):
    """There is no object of this name."""


class ConflictError(NetproxyError):
    """The object changed (or exists already): read it again and retry."""


class AlreadyExistsError(ConflictError):
    """The name is taken."""


class ExpiredError(ConflictError):
    """The version asked for is older than the history that is kept: list again.

    `token` goes on with a list that was begun, in the newer state of things; empty when there is none.
    """

    def __init__(self, message: str, *, token: str = "") -> None:
        self.token = token
        super().__init__(message)


class ApiError(NetproxyError):
    """An API server refused: its HTTP status, the reason of its Status object, its message."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(message)


class UnavailableError(ApiError):
    """The API server does not answer (code 0), or asks to be left alone (429, 503): wait and ask again.

    `retry_after_s` is how long it wants to be left alone; None when it did not say.
    """

    def __init__(self, code: int, reason: str, message: str, *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(code, reason, message)


class UnsupportedError(NetproxyError):
    """A feature that netproxy does not have; the message names it."""


class StorageError(NetproxyError):
    """What was to be kept could not be written; nothing has changed."""


class KernelError(NetproxyError):
    """The host refused; `request` is everything that was asked of it."""

    def __init__(self, message: str, *, request: str = "") -> None:
        self.request = request
        super().__init__(message)

    @property
    def errno(self) -> int:
        """The number that the kernel gave; 0 when it gave none.

        >>> refused = KernelError("mount /x: Invalid argument")
        >>> refused.errno
        0
        >>> refused.__cause__ = OSError(22, "Invalid argument")
        >>> refused.errno
        22
        """
        cause = self.__cause__
        return (cause.errno or 0) if isinstance(cause, OSError) else 0
