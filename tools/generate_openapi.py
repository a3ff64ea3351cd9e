"""Write netproxy/apiserver/openapi.json.xz: the official definitions of all kinds that are served, with their descriptions.

Input is the PyPI package `kubernetes-validate` (Apache-2.0, the official OpenAPI definitions), and of the Go module k8s.io/kubernetes
(Apache-2.0) the file that a server of that version serves its documents from: it alone has the values that a field may have, which
the official definitions leave out. Both are needed here only:

    python tools/generate_openapi.py \
        SITE-PACKAGES/kubernetes_validate/kubernetes-json-schema/v1.36.0-local/_definitions.json \
        GOMODCACHE/k8s.io/kubernetes@v1.36.2/pkg/generated/openapi/zz_generated.openapi.go

What is written is {name: definition}, as a server has them: that package's three changes (`$defs`, `type: [x, null]`, an enum of
each kind's apiVersion and kind) are undone, and its two kinds of its own (Quantity, IntOrString) are those of Kubernetes again.
"""

import json
import lzma
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from generate_schema import ROOTS

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
ALWAYS = (META + "Status", META + "WatchEvent", META + "DeleteOptions", META + "Patch", META + "APIResourceList")
LISTED = ("v1/DeleteOptions", "v1/Binding", "policy/v1/Eviction", "autoscaling/v1/Scale")
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"


def official(schema: Any) -> Any:
    """A definition as Kubernetes publishes it."""
    if isinstance(schema, list):
        return [official(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: official(value) for key, value in schema.items() if key != "enum" or not isinstance(value, list)}
    if isinstance(made.get("$ref"), str):
        made["$ref"] = made["$ref"].rsplit("/", 1)[1]
    kind = made.get("type")
    if isinstance(kind, list):
        made["type"] = next(item for item in kind if item != "null")
    return made


def names_in(schema: Any) -> set[str]:
    """The definitions that a definition names."""
    if isinstance(schema, list):
        return {name for item in schema for name in names_in(item)}
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
    return own | {name for value in schema.values() for name in names_in(value)}


_FUNCTION = re.compile(r"^func schema_(\w+)\(", re.M)
_PROPERTY = re.compile(r'^\t{5}"([^"]+)": \{$', re.M)
_ENUM = re.compile(r"^(\t+)Enum: +\[\]interface\{\}\{(.*)\},$", re.M)
_DESCRIPTION = re.compile(r'Description: (".*"),$', re.M)


def parts(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, str]]:
    """What is between each match and the next: (what the match names, the text)."""
    found = list(pattern.finditer(text))
    for match, after in zip(found, [*found[1:], None], strict=False):
        yield match[1], text[match.end() : after.start() if after else len(text)]


def add_enums(made: dict[str, Any], text: str) -> None:
    """Say of each field which values it may have, and what they are, as the server does."""
    for function, body in parts(_FUNCTION, text):
        for scalar in (INT_OR_STRING, QUANTITY):
            if scalar.endswith("." + function.replace("_", ".")):
                made[scalar]["description"] = json.loads(_DESCRIPTION.search(body)[1])  # type: ignore[index]
        name = (
            function.replace("k8sio_", "io.k8s.")
            .replace("apiextensions_apiserver", "apiextensions-apiserver")
            .replace("_", ".")
        )
        properties = made.get(name, {}).get("properties", {})
        for field, block in parts(_PROPERTY, body):
            enum, description = _ENUM.search(block), _DESCRIPTION.search(block)
            if enum and description and field in properties:
                schema = properties[field]
                schema["description"] = json.loads(description[1])
                inside = schema.get("items") or schema.get("additionalProperties")
                (inside if len(enum[1]) > len("\t" * 7) and inside else schema)["enum"] = json.loads(f"[{enum[2]}]")


def main(definitions_file: str, served_file: str) -> None:
    """Write the file."""
    data = json.loads(Path(definitions_file).read_text())
    known = data.get("definitions") or data["$defs"]
    lists = {f"{name}List" for key, name in ROOTS.items() if key not in LISTED} & set(known)
    waiting, made = [*ROOTS.values(), *lists, *ALWAYS], {}
    while waiting:
        name = waiting.pop()
        if name not in made and name in known:
            made[name] = official(known[name])
            waiting += names_in(made[name])
    for name, kinds in ((INT_OR_STRING, ("integer", "string")), (QUANTITY, ("string", "number"))):
        made[name] = {"description": "", "oneOf": [{"type": kind} for kind in kinds]}
    made[INT_OR_STRING]["format"] = "int-or-string"
    add_enums(made, Path(served_file).read_text())
    target = Path(__file__).parents[1] / "netproxy" / "apiserver" / "openapi.json.xz"
    text = json.dumps(made, separators=(",", ":"), sort_keys=True)
    target.write_bytes(lzma.compress(text.encode(), preset=9))
    print(f"{target}: {len(made)} definitions, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
