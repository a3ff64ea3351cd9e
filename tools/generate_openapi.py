"""Write netproxy/apiserver/openapi.json.xz: the official definitions of all kinds that are served, with their descriptions.

Input is the PyPI package `kubernetes-validate` (Apache-2.0, the official OpenAPI definitions), which is needed here only:

    python tools/generate_openapi.py SITE-PACKAGES/kubernetes_validate/kubernetes-json-schema/v1.36.0-local/_definitions.json

What is written is {name: definition}, as in the published swagger.json: that package's two changes (`$defs`, `type: [x, null]`)
are undone, and its two kinds of its own (Quantity, IntOrString) are those of Kubernetes again.
"""

import json
import lzma
import sys
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
    made = {key: official(value) for key, value in schema.items()}
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


def main(definitions_file: str) -> None:
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
    about = {name: made[name].get("description", "") for name in (INT_OR_STRING, QUANTITY)}
    made[INT_OR_STRING] = {"description": about[INT_OR_STRING], "format": "int-or-string", "type": "string"}
    made[QUANTITY] = {"description": about[QUANTITY], "type": "string"}
    target = Path(__file__).parents[1] / "netproxy" / "apiserver" / "openapi.json.xz"
    text = json.dumps(made, separators=(",", ":"), sort_keys=True)
    target.write_bytes(lzma.compress(text.encode(), preset=9))
    print(f"{target}: {len(made)} definitions, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
