"""Answers of an API server with what differs from run to run replaced by placeholders, as in the recordings.

The rules, in order, are in tests/cases/api/README.md.
"""

import re
import secrets

UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
TIME = re.compile(r"\b(20(?:2[1-9]|[3-9]\d)-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")
IP4 = re.compile(r"\b10\.96\.(\d{1,3})\.(\d{1,3})\b")
IP6 = re.compile(r"\bfd00:10:96::([0-9a-f]{1,4})\b")
AGE = re.compile(r"^(\d+(ms|s|m|h|d|y)){1,3}$")
AGO = re.compile(r"\((\d+(ms|s|m|h|d|y)){1,3} ago\)")
REF = re.compile(r"<(ns|x|(?:uid|rv|listrv|continue|gen|ip4|ip6|port):[\w.-]+)>")
VERSIONS = [
    re.compile(pattern)
    for pattern in (
        r"(esourceVersion in the precondition \()(\d+)(\))",
        r"(esourceVersion in record \()(\d+)(\))",
        r"(current: )(\d+)()",
        r"(too old resource version: \d+ \()(\d+)(\))",
        r'(resourceVersion\\*":\\*")(\d+)(\\*")',
    )
]
ENTRY_ORDER = ("operation", "manager", "apiVersion", "subresource")


class MissingError(Exception):
    """A step needs what an earlier answer does not have."""


class Names:
    """The placeholders of one run of one case, both ways."""

    def __init__(self):
        self.namespace = "ns-" + secrets.token_hex(4)
        self.word = "x" + secrets.token_hex(4)
        self.step = ""
        self._by = {}
        self._values = {"ns": self.namespace, "x": self.word}
        self._count = {}
        self._generated = {}

    # --- answers → placeholders

    def answer(self, step, body):
        """The body of a step's answer with placeholders."""
        self.step = step
        self.collect(body)
        return self.walk(body)

    def collect(self, value):
        """Find names that the server made up."""
        if isinstance(value, dict):
            self._note_generated(value.get("name"), value.get("generateName"))
            for key in sorted(value):
                self.collect(value[key])
        elif isinstance(value, list):
            for item in value:
                self.collect(item)

    def _note_generated(self, name, asked):
        prefix = asked[:58] if isinstance(asked, str) else ""
        is_new = prefix and isinstance(name, str) and name not in self._generated
        if is_new and name.startswith(prefix) and len(name) == len(prefix) + 5:
            self._generated[name] = prefix + self._get("gen", name[len(prefix) :])

    def walk(self, value, key=None, *, bookmark=False):
        """A value with placeholders."""
        if isinstance(value, dict):
            is_list = bookmark or "items" in value or "rows" in value or str(value.get("kind", "")).endswith("List")
            return {
                self.text(name): self._field(name, value[name], is_list=is_list, bookmark=bookmark)
                for name in sorted(value)
            }
        if isinstance(value, list):
            return [self.walk(item, key) for item in value]
        if not isinstance(value, str) or (key in ("resourceVersion", "continue") and REF.fullmatch(value)):
            return value
        if key == "message":
            value = re.sub(r"\b(3[0-2]\d{3})\b", lambda m: self._by.get(("port", int(m[1])), m[1]), value)
        return self.text(value)

    def _field(self, name, value, *, is_list, bookmark):
        if name == "metadata" and isinstance(value, dict):
            return self.walk(self._versioned(value, is_list=is_list), name)
        if name == "rows" and bookmark and isinstance(value, list):
            rows = [{**row, "object": self.walk(row.get("object"), bookmark=True)} for row in value]
            return [self.walk(row) for row in rows]
        if name in ("nodePort", "healthCheckNodePort") and isinstance(value, int):
            return self._get("port", value) if 30085 < value < 32768 else value
        if name == "managedFields" and isinstance(value, list):
            entries = [self.walk(entry, name) for entry in value]
            return sorted(entries, key=lambda entry: [str(entry.get(field, "")) for field in ENTRY_ORDER])
        if name == "columnDefinitions" and isinstance(value, list):
            return [{field: item for field, item in column.items() if field != "description"} for column in value]
        if name == "cells" and isinstance(value, list):
            return [self._cell(cell) if isinstance(cell, str) else self.walk(cell) for cell in value]
        if name == "resourceVersion" and ("rv", value) in self._by:
            return self._by["rv", value]
        return "<hash>" if name == "storageVersionHash" else self.walk(value, name)

    def _versioned(self, meta, *, is_list):
        meta = dict(meta)
        version = meta.get("resourceVersion")
        if isinstance(version, str) and version not in ("", "0"):
            meta["resourceVersion"] = self._new("listrv", version) if is_list else self._get("rv", version)
        if meta.get("continue"):
            meta["continue"] = self._new("continue", meta["continue"])
        return meta

    def text(self, text):
        """A text with placeholders."""
        for name, placeholder in self._generated.items():
            text = text.replace(name, placeholder)
        text = text.replace(self.namespace, "<ns>").replace(self.word, "<x>")
        text = re.sub(r"X509SHA256=[0-9a-f]{64}", "X509SHA256=<hash>", text)
        text = UUID.sub(lambda m: self._get("uid", m[0]), text)
        text = TIME.sub(lambda m: "<microtime>" if m[2] else "<time>", text)
        text = IP4.sub(lambda m: self._get("ip4", m[0]) if int(m[1]) * 256 + int(m[2]) > 256 else m[0], text)
        text = IP6.sub(lambda m: self._get("ip6", m[0]) if int(m[1], 16) > 256 else m[0], text)
        for pattern in VERSIONS:
            text = pattern.sub(lambda m: m[1] + "<rv>" + m[3], text)
        return text

    def _cell(self, text):
        if AGE.match(text):
            return "<age>"
        text = AGO.sub("(<age> ago)", self.text(text))
        return re.sub(r"(:)(3\d{4})(/)", lambda m: m[1] + self._port(int(m[2])) + m[3], text)

    def _port(self, number):
        return self._get("port", number) if number > 30085 else str(number)

    def _new(self, kind, value):
        count = self._count[kind, self.step] = self._count.get((kind, self.step), 0) + 1
        name = f"{kind}:{self.step}" + (f".{count}" if count > 1 else "")
        self._values[name] = value
        return f"<{name}>"

    def _get(self, kind, value):
        if (kind, value) not in self._by:
            self._by[kind, value] = self._new(kind, value)
        return self._by[kind, value]

    # --- placeholders → values

    def filled(self, value):
        """A step's value with what the placeholders in it stand for."""
        if isinstance(value, dict):
            return {self.filled(key): self.filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if not isinstance(value, str):
            return value
        whole = REF.fullmatch(value)
        return self._value(whole[1]) if whole else REF.sub(lambda m: str(self._value(m[1])), value)

    def _value(self, name):
        if name not in self._values:
            raise MissingError(f"<{name}> is not known: an earlier answer lacks it")
        return self._values[name]
