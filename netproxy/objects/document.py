"""Text of YAML or JSON → plain values, as Kubernetes' own tools read it, within limits of size and depth.

Every mistake is a ManifestError with file, line and column. What an object may hold is limited as a whole: aliases count as
what they stand for. Source: sigs.k8s.io/yaml; kubernetes apimachinery/pkg/util/yaml/decoder.go (streams).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.objects import jsontext
from netproxy.objects.limits import MOST_BYTES, TOO_DEEP, LimitError

_BOM = b"\xef\xbb\xbf"
_PLAINER = {"exceeded maximum nesting depth": TOO_DEEP}
"""What libyaml says, and what we say about it."""
_UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


def documents(data: bytes | str, source: str) -> Iterator[Any]:
    """The values of a text: YAML documents, or JSON values one after the other; empty documents are passed over.

    UTF-8 and UTF-16, with a byte order mark or without.
    """
    text = _utf8(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data, source)
    begins = text.lstrip()[:1]
    rest, line = text, 0
    if begins in (b"{", b"["):
        try:
            values, rest, line = jsontext.values(text)
        except LimitError as error:
            raise mistake(source, error.place, str(error)) from error
        yield from values
    if rest.strip():
        yield from _yaml(rest, source, line)


def document(data: bytes | str, source: str) -> Any:
    """The only value of a text; None for an empty one. Raises ManifestError."""
    found = list(documents(data, source))
    if len(found) > 1:
        raise mistake(source, "document", f"there must be one, not {len(found)}; leave the others out")
    return found[0] if found else None


def mistake(source: str, place: str, why: str) -> ManifestError:
    """One thing that is wrong with a text."""
    return ManifestError([Problem(place, why, source=source)])


def _yaml(text: bytes, source: str, line: int) -> Iterator[Any]:
    import yaml

    from netproxy.objects.yamltext import Reader

    try:
        yield from Reader(text).documents()
    except LimitError as error:
        raise mistake(source, error.place_after(line), str(error)) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1 + line}, column {mark.column + 1}" if mark else "YAML"
        why = str(error.problem or error.context)
        raise mistake(source, place, _PLAINER.get(why, why)) from error
    except yaml.reader.ReaderError as error:
        why = f"the character U+{error.character:04X} is not allowed; leave it out"
        raise mistake(source, _place(text, error.position, line), why) from error


def _utf8(data: bytes, source: str) -> bytes:
    if len(data) > MOST_BYTES:
        raise mistake(
            source, "file", f"Too long: it is larger than {MOST_BYTES >> 20} MiB; split it into several files"
        )
    encoding = _UTF16.get(data[:2]) or _bare_utf16(data)
    try:
        if encoding:
            data = data.decode(encoding).removeprefix("\ufeff").encode()
        else:
            data = data.removeprefix(_BOM)
            data.decode()
    except UnicodeDecodeError as error:
        name = "UTF-16" if encoding else "UTF-8"
        place = "file" if encoding else _place(data, error.start, 0)
        raise mistake(source, place, f"is not {name} text ({error.reason}); save the file as UTF-8") from error
    return data.replace(b"\n" + _BOM, b"\n") if _BOM in data else data  # files put one after the other


def _bare_utf16(data: bytes) -> str:
    """UTF-16 without a mark: of two first bytes, one is zero."""
    first = data[:2]
    return "" if len(first) < 2 or all(first) or not any(first) else "utf-16-be" if not first[0] else "utf-16-le"


def _place(data: bytes, at: int, line: int) -> str:
    row, begins = data.count(b"\n", 0, at), data.rfind(b"\n", 0, at)
    return f"line {row + 1 + line}, column {at - begins}"
