"""Write netproxy/apiserver/protobuf.json.xz: the fields of each Kubernetes type by their numbers in a protobuf message.

Input is a folder that has the Go modules k8s.io/api, k8s.io/apimachinery and k8s.io/apiextensions-apiserver (Apache-2.0), of the
version of the schema; needed here only:

    GOFLAGS=-mod=mod go mod download k8s.io/api@v0.36.2 k8s.io/apimachinery@v0.36.2 k8s.io/apiextensions-apiserver@v0.36.2
    python tools/generate_protobuf.py GOMODCACHE/k8s.io

What is written:
  kinds    "apiVersion/kind" → type, of the kinds that netproxy's schema has
  types    type → number → [field in JSON, field in Go, code]

A code begins with `&` for a pointer, whose value says something even when it is empty. Then: s string, b bool, i int64, w int32,
y bytes, f float64, q Quantity, t Time, u MicroTime, x IntOrString, r and v JSON in bytes, e a list of strings in a message of
its own, []CODE, {}CODE, :TYPE, =TYPE (a struct whose fields are written as those of the struct around it), a | o | l
(JSONSchemaPropsOrArray, OrBool, OrStringArray).
"""

import json
import lzma
import re
import sys
from pathlib import Path

from go_types import GoTypes

_SCALARS = {
    "string": "s",
    "bool": "b",
    "int64": "i",
    "int": "i",
    "int32": "w",
    "uint8": "w",
    "[]byte": "y",
    "float64": "f",
}
_SPECIAL = {
    "Quantity": "q", "Time": "t", "MicroTime": "u", "IntOrString": "x", "RawExtension": "r", "FieldsV1": "v",
    "JSON": "r", "UID": "s", "ExtraValue": "e", "Verbs": "e", "JSONSchemaPropsOrArray": "a", "JSONSchemaPropsOrBool": "o",
    "JSONSchemaPropsOrStringArray": "l",
}  # fmt: skip
_TAG = re.compile(r'protobuf:"\w+,(\d+),')


class Messages:
    """What is known so far; types are added as they are met."""

    def __init__(self, go: GoTypes) -> None:
        self._go = go
        self.types: dict[str, dict[str, list[str]]] = {}

    def visit(self, name: str) -> None:
        """Note the fields of a struct, and the structs that they are of."""
        if name in self.types:
            return
        fields = self.types[name] = {}
        package = name.rpartition(".")[0]
        for own, kind, tags in self._go.fields(name):
            number, json_name = _TAG.search(tags), re.search(r'json:"([^",]*)', tags)
            if number:
                go_name = own or kind.lstrip("*").rpartition(".")[2]
                is_inside = not own and ",inline" in tags
                code = self._code(package, kind)
                shown = json_name[1].strip("-") if json_name else ""
                fields[number[1]] = [shown or go_name, go_name, "=" + code.lstrip("&:") if is_inside else code]

    def _code(self, package: str, kind: str) -> str:
        """The code of a Go type as it is written in a package."""
        if kind.startswith("*"):
            return "&" + self._code(package, kind[1:])
        if kind in _SCALARS:
            return _SCALARS[kind]
        if kind.startswith("[]"):
            return "[]" + self._code(package, kind[2:]).lstrip("&")
        if kind.startswith("map["):
            return "{}" + self._code(package, kind.partition("]")[2]).lstrip("&")
        short = kind.rpartition(".")[2]
        if short in _SPECIAL:
            return _SPECIAL[short]
        full = self._go.qualified(package, kind)
        if self._go.knows(full):
            self.visit(full)
            return ":" + full
        return self._code(full.rpartition(".")[0], self._go.target(full))


def main(go_folder: str) -> None:
    """Write the file."""
    root = Path(__file__).parents[1] / "netproxy"
    schema = json.loads(lzma.decompress((root / "objects" / "schema.json.xz").read_bytes()))
    messages = Messages(GoTypes(Path(go_folder), ("api", "apimachinery", "apiextensions-apiserver")))
    kinds = {key: name.removeprefix("io.k8s.apiextensions-apiserver.pkg.") for key, name in schema["kinds"].items()}
    for name in ("runtime.Unknown", *kinds.values()):
        messages.visit(name)
    text = json.dumps({"kinds": kinds, "types": messages.types}, separators=(",", ":"))
    target = root / "apiserver" / "protobuf.json.xz"
    target.write_bytes(lzma.compress(text.encode(), preset=9))
    print(f"{target}: {len(messages.types)} types, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
