"""What is refused about paths of files in Pods.

Source: kubernetes pkg/apis/core/validation/validation.go (validateLocalDescendingPath and its like; behaviour).
"""

from __future__ import annotations

from netproxy.objects.validation.words import Problems, invalid

FILE_MODE = "must be a number between 0 and 0777 (octal), both inclusive"


def no_back_steps(path: str, place: str) -> Problems:
    """Whether a path leads upwards nowhere."""
    if ".." in path.split("/"):
        yield invalid(place, path, "must not contain '..'")


def descending(path: str, place: str) -> Problems:
    """Whether a path leads from a folder to something in it."""
    if path.startswith("/"):
        yield invalid(place, path, "must be a relative path")
    yield from no_back_steps(path, place)


def unreserved(path: str, place: str) -> Problems:
    """Whether a path leads from a folder to something in it that the kubelet does not use itself."""
    yield from descending(path, place)
    if path.startswith("..") and not path.startswith("../"):
        yield invalid(place, path, "must not start with '..'")


def file_mode(mode: int | None, place: str) -> Problems:
    """Whether a number is a file's mode."""
    if mode is not None and not 0 <= mode <= 0o777:
        yield invalid(place, mode, FILE_MODE)
