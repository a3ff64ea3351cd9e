"""The bodies of patches: what is read, what is told of it, what is refused, as kube-apiserver does."""

import pytest

from netproxy.apiserver.patches import configuration, patch_body
from netproxy.core.errors import ApiError
from netproxy.registry.options import WriteOptions

JSON, MERGE, STRATEGIC = (f"application/{kind}+json" for kind in ("json-patch", "merge-patch", "strategic-merge-patch"))
PATCH_ERROR = "error decoding patch: "


def read(body, kind, validation="Warn"):
    try:
        return patch_body(body, kind, WriteOptions(field_validation=validation))
    except ApiError as error:
        return error.code, str(error)


@pytest.mark.parametrize(
    ("body", "kind", "value", "told"),
    [
        (b'[{"op":"add","path":"/a","value":1}]', JSON, [{"op": "add", "path": "/a", "value": 1}], ()),
        (b"null", JSON, [], ()),
        (b"[null]", JSON, [None], ()),
        (b'[{"op":"add","path":"/a","path":"/b","more":1}]', JSON, [{"op": "add", "path": "/b", "more": 1}],
         ('json patch duplicate field "[0].path"', 'json patch unknown field "[0].more"')),
        (b'{"a":1,"b":[{"c":1,"c":2}],"a":2}', MERGE, {"a": 2, "b": [{"c": 2}]}, ('duplicate field "b[0].c"', 'duplicate field "a"')),
        (b'{"a":{"b":1}}', STRATEGIC, {"a": {"b": 1}}, ()),
        (b"null", STRATEGIC, {}, ()),
    ],
)  # fmt: skip
def test_patches_that_can_be_read(body, kind, value, told):
    assert read(body, kind) == (value, told)
    assert read(body, kind, "Ignore") in ((value, ()), (400, "Invalid JSON Patch"))


@pytest.mark.parametrize(
    ("body", "kind", "why", "ignored"),
    [
        (b"{nope", JSON, PATCH_ERROR + "invalid character 'n' looking for beginning of object key string",
         "invalid character 'n' looking for beginning of object key string"),
        (b"", MERGE, PATCH_ERROR + "unexpected end of JSON input", "Invalid JSON Patch"),
        (b"{", STRATEGIC, "unexpected end of JSON input", "unexpected end of JSON input"),
        (b"{}", JSON, PATCH_ERROR + "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
         "json: cannot unmarshal object into Go value of type jsonpatch.Patch"),
        (b"[5]", JSON, PATCH_ERROR + "json: cannot unmarshal number into Go value of type handlers.jsonPatchOp",
         "json: cannot unmarshal number into Go value of type jsonpatch.Operation"),
        (b"null", MERGE, "Invalid JSON Patch", "Invalid JSON Patch"),
        (b"5", MERGE, PATCH_ERROR + "json: cannot unmarshal number into Go value of type map[string]interface {}", "Invalid JSON Patch"),
        (b"[1]", STRATEGIC, "json: cannot unmarshal array into Go value of type map[string]interface {}",
         "json: cannot unmarshal array into Go value of type map[string]interface {}"),
    ],
)  # fmt: skip
def test_patches_that_cannot_be_read(body, kind, why, ignored):
    assert read(body, kind) == (400, why)
    assert read(body, kind, "Ignore") == (400, ignored)


def test_who_ignores_field_validation_is_refused_later():
    wrong = "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string"
    assert read(b'[{"op":5}]', JSON) == (400, wrong)
    assert read(b'[{"op":5}]', JSON, "Ignore") == ([{"op": 5}], ())
    assert read(b"[1]", MERGE, "Ignore") == ([1], ())


def applied(body):
    try:
        return configuration(body)
    except ApiError as error:
        return error.code, str(error)


def test_a_configuration_is_yaml():
    assert applied(b"a: 1\nb: [x]") == ({"a": 1, "b": ["x"]}, ())
    assert applied(b"") == (None, ())
    assert applied(b"a: 1\na: 2") == ({"a": 2}, ('line 2: key "a" already set in map',))
    wrong = "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type"
    assert applied(b"[]") == (400, f"{wrong} map[string]interface {{}}")
    assert applied(b"a: [")[1].startswith("error decoding YAML: error converting YAML to JSON: yaml: ")
