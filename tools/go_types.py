"""Read from Go's source how each field of a Kubernetes type is decoded and encoded: what the OpenAPI definitions do not tell.

Input is a folder that has the modules k8s.io/api and k8s.io/apimachinery, of the same version as the definitions:

    GOFLAGS=-mod=mod go mod download k8s.io/api@v0.36.2 k8s.io/apimachinery@v0.36.2   # into $(go env GOMODCACHE)/k8s.io

A field's code begins with up to two letters. How it is written: `&` a pointer, kept as it is; `!` always there; none: left out when it is
empty. What it is, where that matters: `q` Quantity, `t` Time, `u` MicroTime, `x` IntOrString, `w` int32, `d` Duration. After a `~`
comes the name that Go gives to a string or number of a type of its own, as Go's errors have it: `~v1.Protocol`.
"""

import re
from pathlib import Path

_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.M | re.S)
_ALIAS = re.compile(r"^type (\w+) ([\[\]\w.*]+)$", re.M)
_FIELD = re.compile(r"^\t(?:(\w+)\s+)?([\[\]*\w.]+)\s+`([^`]*)`", re.M)
_BARE = re.compile(r"^\t(\w+)(?:\s+([\[\]*\w.]+))?$", re.M)
_KINDS = {"Quantity": "q", "Time": "t", "MicroTime": "u", "IntOrString": "x", "int32": "w", "Duration": "d"}
_OPAQUE = {"RawExtension", "FieldsV1"}


class GoTypes:
    """The structs of all packages below a folder, by the short names that the schema uses."""

    def __init__(
        self, folder: Path, modules: tuple[str, ...] = ("api", "apiextensions-apiserver", "apimachinery")
    ) -> None:
        self._structs: dict[str, list[tuple[str, str, str]]] = {}
        self._aliases: dict[str, str] = {}
        for module in sorted(folder.iterdir()):
            if module.name.partition("@")[0] in modules:
                for file in sorted((*module.glob("**/types.go"), *module.glob("**/types_jsonschema.go"))):
                    self._read(file, ".".join(file.parent.relative_to(module).parts).removeprefix("pkg."))

    def _read(self, file: Path, package: str) -> None:
        text = re.sub(r"^\s*//.*\n", "", file.read_text(), flags=re.M)
        for name, body in _STRUCT.findall(text):
            self._structs[f"{package}.{name}"] = _FIELD.findall(body)
        for name in re.findall(r"^type (\w+) struct ?\{\}$", text, re.M):
            self._structs[f"{package}.{name}"] = []
        for name, target in _ALIAS.findall(text):
            self._aliases[f"{package}.{name}"] = target

    def knows(self, short: str) -> bool:
        """Whether a type is a struct that was read."""
        return short in self._structs

    def fields(self, short: str) -> list[tuple[str, str, str]]:
        """The fields of a struct as they are written: name ("" for an embedded one), type, tags."""
        return self._structs[short]

    def target(self, short: str) -> str:
        """The type that a type's name stands for. Raises KeyError."""
        return self._aliases[short]

    def codes(self, short: str) -> dict[str, str]:
        """The fields of a type in the order of its struct, and their codes. Raises KeyError for a type that is no struct."""
        package = short.rpartition(".")[0]
        result: dict[str, str] = {}
        for _, kind, tag in self._structs[short]:
            name, *options = re.search(r'json:"([^"]*)"', tag)[1].split(",")  # type: ignore[index]
            if name and name != "-":
                result[name] = self._code(package, kind, options) + self._own_name(package, kind)
            elif "inline" in options and self.qualified(package, kind) in self._structs:
                result |= self.codes(self.qualified(package, kind))
        return result

    def json_name(self, short: str, field: str) -> str:
        """The name in JSON of a struct's field; empty when it has no such field."""
        package = short.rpartition(".")[0]
        for name, kind, tag in self._structs.get(short, ()):
            if name == field:
                return re.search(r'json:"([^",]*)', tag)[1]  # type: ignore[index]
            inner = self.qualified(package, kind)
            if ",inline" in tag and (found := self.json_name(inner, field)):
                return found
        return ""

    def _code(self, package: str, kind: str, options: list[str]) -> str:
        pointer = kind.startswith("*")
        plain = self._plain(package, kind.removeprefix("*"))
        last = re.sub(r"^(\[\]|map\[[\w.]+\])", "", plain).removeprefix("*").rpartition(".")[2]
        what = _KINDS.get(last, "")
        is_struct = not plain.startswith(("[]", "map")) and (
            self.qualified(package, plain) in self._structs or (what and what in "qtux")
        )
        if last in _OPAQUE:
            return "&"
        if pointer:
            return "&" + what
        shown = (bool(is_struct) and "omitzero" not in options) or not {"omitempty", "omitzero"} & set(options)
        return "!" * shown + what

    def _own_name(self, package: str, kind: str) -> str:
        element = re.sub(r"^\*?(\[\]|map\[[\w.]+\])?\*?", "", kind)
        if (
            self._plain(package, element) not in ("string", "int32", "int64", "bool")
            or self._plain(package, element) == element
        ):
            return ""
        prefix, dot, name = element.rpartition(".")
        return f"~{'v1' if prefix in ('metav1', 'corev1', 'apiv1', 'v1') else prefix if dot else package.rpartition('.')[2]}.{name}"

    def _plain(self, package: str, kind: str) -> str:
        """A type's name with its aliases resolved."""
        while (name := self.qualified(package, kind)) in self._aliases:
            kind = self._aliases[name]
        return kind

    def qualified(self, package: str, kind: str) -> str:
        """The short name of a type that a package names so."""
        prefix, dot, name = kind.rpartition(".")
        if not dot:
            return f"{package}.{kind}"
        return {
            "metav1": "apis.meta.v1",
            "v1": "core.v1",
            "corev1": "core.v1",
            "apiv1": "core.v1",
            "discoveryv1": "discovery.v1",
        }.get(prefix, prefix) + f".{name}"


class InternalTypes:
    """How the API server keeps Pods itself: some refusals show that form. From pkg/apis/core/types.go of k8s.io/kubernetes."""

    def __init__(self, file: Path, external: GoTypes) -> None:
        text = re.sub(r"^\s*//.*\n", "", file.read_text(), flags=re.M)
        text = re.sub(r"\s*//[^\n]*", "", text)
        self._structs = {name: _BARE.findall(body) for name, body in _STRUCT.findall(text)}
        self._aliases = dict(_ALIAS.findall(text))
        self._external = external
        self.types: dict[str, list[list[str]]] = {}

    def visit(self, name: str) -> str:
        """The code of a type; the fields of a struct are noted as [Go's name, name in JSON, code]."""
        if name in self._structs and name not in self.types:
            self.types[name] = []
            self.types[name] = [row for field, kind in self._structs[name] for row in self._rows(name, field, kind)]
        return f":{name}" if name in self._structs else ""

    def _rows(self, owner: str, field: str, kind: str) -> list[list[str]]:
        if not kind and field in self._structs:
            return [row for inner, code in self._structs[field] for row in self._rows(field, inner, code)]
        return [[field, self._external.json_name(f"core.v1.{owner}", field), self._code(kind)]]

    def _code(self, kind: str) -> str:
        while kind in self._aliases:
            kind = self._aliases[kind]
        if kind.startswith("*"):
            return "*" + self._code(kind[1:])
        if kind.startswith("[]"):
            return "[]" + self._code(kind[2:])
        if kind.startswith("map["):
            return "{}" + self._code(kind.partition("]")[2])
        plain = {"string": "s", "bool": "b", "int32": "i", "int64": "i", "int": "i", "resource.Quantity": "q"}
        return plain.get(kind) or self.visit(kind) or ("x" if kind.endswith("IntOrString") else "j")
