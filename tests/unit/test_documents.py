"""YAML and JSON as Kubernetes' own tools read them: values, streams, encodings, limits, and the place of every mistake."""

import json
import math
import subprocess
import sys
from contextlib import suppress

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from netproxy.core.errors import ManifestError
from netproxy.objects.document import document, documents
from netproxy.objects.limits import DEEPEST, HEAVIEST, MOST_BYTES, MOST_DOCUMENTS
from netproxy.objects.manifest import parse_manifests, unknown_kind

# What sigs.k8s.io/yaml 1.6 (go.yaml.in/yaml/v2 2.4.2) makes of each.
READ = [
    ("12:30", "12:30"), ("23:15:00", "23:15:00"), ("190:20:30.15", "190:20:30.15"), ("=", "="), ("yes", True), ("No", False),
    ("on", True), ("OFF", False), ("y", True), ("N", False), ("yEs", "yEs"), ("~", None), ("Null", None), ("", None), ("0x1F", 31),
    ("017", 15), ("0o17", 15), ("08", 8), ("1_000", 1000), ("0b11", 3), ("-0b11", -3), ("+1", 1), ("1e3", 1000), ("80.0", 80),
    ("1.30", 1.3), (".5", 0.5), (".5_0", 0.5), ("1.", 1), ("-0", 0), ("1e999", "1e999"), ("0x", "0x"), ("9" * 5000, "9" * 5000),
    ("9223372036854775807", 9223372036854775807), ("-9223372036854775808", -9223372036854775808),
    ("9223372036854775808", 9223372036854775808.0), ("-9223372036854775809", -9223372036854775809.0),
    ("0xFFFFFFFFFFFFFFFFF", "0xFFFFFFFFFFFFFFFFF"), ("2024-01-01", "2024-01-01"), ("2001-12-14 21:59:43", "2001-12-14 21:59:43"),
    ("'yes'", "yes"), ('"80"', "80"), ("!!str 80", "80"), ("!!int '80'", 80), ("!!float 3", 3), ("!!bool on", True), ("!!null ~", None),
    ("!!binary aGk=", "hi"), ("!!timestamp 2001-01-01", "2001-01-01"), ("! 80", "80"), ("!mine 80", "80"), ("<<", "<<"), ("1.5.2", "1.5.2"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), READ, ids=[text[:20] or "nothing" for text, _ in READ])
def test_a_scalar_is_what_kubernetes_reads(text, value):
    found = document(f"a: {text}", "x")["a"]
    assert (found, type(found) is bool) == (value, type(value) is bool)


@pytest.mark.parametrize(
    ("text", "key"),
    [("yes", "true"), ("off", "false"), ("80", "80"), ("0x10", "16"), ("1.30", "1.3"), ("1e6", "1e+06"), ("1.1e-5", "1.1e-05"),
     ("123456.0", "123456"), ("0.0", "0"), (".inf", ".inf"), ("-.inf", "-.inf"), (".nan", ".nan"), ("1e300", ".inf"), ("-1e300", "-.inf"),
     ("2024-01-01", "2024-01-01"), ("12:30", "12:30"), ("'80'", "80"), ("-1.5", "-1.5"), ("0.3", "0.3")],
)  # fmt: skip
def test_a_key_is_text(text, key):
    assert list(document(f"{text}: x", "x")) == [key]


def test_merges_and_anchors_are_as_go_yaml_does_them():
    text = "a: &a {b: 1, c: 2}\nd: {<<: *a, c: 3}\ne: {c: 3, <<: *a}\nf: {<<: [{b: 7}, *a], g: !!str 1}\nh: *a\n"
    assert document(text, "x") == {
        "a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": {"b": 1, "c": 2}, "f": {"b": 7, "c": 2, "g": "1"}, "h": {"b": 1, "c": 2},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"a": 1}{"b": 2}\n{"c": 3}', [{"a": 1}, {"b": 2}, {"c": 3}]),
        ('{"a": 1}\n---\n{"b": 2}\n--- # more\nc: 3\n', [{"a": 1}, {"b": 2}, {"c": 3}]),
        ("[1]\n[2]", [[1], [2]]),
        ("{a: 1}", [{"a": 1}]),
        ('{"a": 1,}', [{"a": 1}]),
        ("", []), ("# nothing", []), ("---\n---\n", []), ("a: 1\n...\n---\nb: 2", [{"a": 1}, {"b": 2}]),
        ('{"a\\u003a": "::", ":": "\\\\u003a"}', [{"a:": "::", ":": "\\u003a"}]),
        ('{"a" : 1, "b": "\\u0022: x", "c": "y\\" :"}', [{"a": 1, "b": '": x', "c": 'y" :'}]),
        ('{"a": 9223372036854775808} {"b": -3}', [{"a": 9223372036854775808.0}, {"b": -3}]),
        ('{"a": 1.5} {"b": 2.0}', [{"a": 1.5}, {"b": 2}]),
        ('{"a": NaN}', [{"a": "NaN"}]),
        ('{"a": "[{"}', [{"a": "[{"}]),
    ],
)  # fmt: skip
def test_a_text_may_hold_several_values(text, values):
    assert list(documents(text, "x")) == values


@pytest.mark.parametrize("first", ["a: é\n---\nb: 2\n", '{"a": "é"}\n{"b": 2}\n'])
@pytest.mark.parametrize(
    "encoded",
    [str.encode, lambda t: t.encode("utf-8-sig"), lambda t: t.encode("utf-16"), lambda t: t.encode("utf-16-be"),
     lambda t: t.encode("utf-16-le"), lambda t: b"\xfe\xff" + t.encode("utf-16-be")],
)  # fmt: skip
def test_an_encoding_does_not_matter(first, encoded):
    assert list(documents(encoded(first), "x")) == [{"a": "é"}, {"b": 2}]


def test_files_with_marks_may_be_put_one_after_the_other():
    assert list(documents(b"\xef\xbb\xbfa: 1\n---\n\xef\xbb\xbfb: 2", "x")) == [{"a": 1}, {"b": 2}]
    assert list(documents(b'\xef\xbb\xbf{"a":1}\n\xef\xbb\xbf{"b":2}', "x")) == [{"a": 1}, {"b": 2}]


DEEP_JSON = '{"a":' * DEEPEST + "[]" + "}" * DEEPEST


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {b: 1, b: 2}", 'line 1, column 11: a: Duplicate value: the key "b" is set already; leave one of them out'),
        ("1: a\n'1': b", 'line 2, column 1: Duplicate value: the key "1"'),
        ('{"a": 1, "a": 2}', 'line 1, column 10: Duplicate value: the key "a"'),
        ('{"a" :1, "a": 2}', 'line 1, column 10: Duplicate value: the key "a"'),
        ('{"a":1,"b":"\\u003A","a":2}', 'line 1, column 21: Duplicate value: the key "a"'),
        ('{"a\\u003a":1,"a:":2}', 'line 1, column 14: Duplicate value: the key "a:"'),
        ('{"a": 1}\n{"b":\n[{"c": 1, "c": 1}]}', 'line 3, column 11: b[0]: Duplicate value: the key "c"'),
        ("- a\n- ~: b", "line 2, column 3: [1]: invalid map key: null cannot be a key; write a string"),
        ("? {a: b}\n: c", "invalid map key: a map"),
        ("? [a]\n: c", "invalid map key: a list"),
        ("a: !!int x", "line 1, column 4: a: Invalid value: cannot decode !!str `x` as a !!int"),
        ("a: !!bool " + "1" * 50, "cannot decode !!float `" + "1" * 40 + "...` as a !!bool"),
        ("a: !!timestamp x", "cannot decode !!str `x` as a !!timestamp"),
        ("a: !!binary x", "!!binary value contains invalid base64 data"),
        ("a: .nan", "line 1, column 4: a: Invalid value: is no number that JSON can carry"),
        ("a: &x [b, *x]", "line 1, column 11: a[1]: anchor 'x' value contains itself"),
        ("a: *x", "line 1, column 4: a: unknown anchor 'x' referenced"),
        ("a: {b: 1, <<: {c: 2}, b: 3}", 'line 1, column 23: a: Duplicate value: the key "b"'),
        ("a: {<<: 5}", "map merge requires map or sequence of maps"),
        ("{a: [1,2}", "line 1, column 9: did not find expected ',' or ']'"),
        ('{"a": 1}\n{"b" 2}', "line 2, column 6: "),
        ('{"a": 1} ]', "line 1, column 10: "),
        ("a: b\n\tc: d", "line 2, column 1: found a tab character"),
        (b"a: b\nc: \xff", "line 2, column 4: is not UTF-8 text"),
        (b"\xff\xfea", "file: is not UTF-16 text"),
        ('{"a": "\\ud800"}', "line 1, column 1: Invalid value: str is not valid UTF-8"),
        ("- " * 101 + "a", f"line 1, column {2 * DEEPEST + 1}: "),
        ("[" * 5000, "Too long: more than 100 maps"),
        (DEEP_JSON, "Too long: more than 100 maps and lists are inside each other"),
        (DEEP_JSON * 2, "Too long: more than 100 maps and lists are inside each other"),
        ('{"a":' * 300 + "1" + "}" * 300 + "{}", "Too long: more than 100"),
        ("{" * 9 + '"a":' + "[" * 100_000, "Too long: more than 100 maps"),
        ('{"a":' * 20_000, "Too long: more than 100"),
        ("---\n" * (MOST_DOCUMENTS + 2), "Too many: more than 100000 documents"),
        ("{} " * (MOST_DOCUMENTS + 1), "Too many: more than 100000 documents"),
        ("[" + "1," * (HEAVIEST // 2) + "1]", "Too long: the object is larger"),
        ('{"a":' + json.dumps(["x"] * (HEAVIEST // 4)) + "}", "Too long: the object is larger"),
        ("a:\n" + "- x\n" * (HEAVIEST // 16), "a[246"),
        ("a: &a " + "x" * 1_000_000 + "\nb: [*a, *a, *a, *a, *a]", "line 2, column 21: b[4]: document contains excessive aliasing"),
        ("a: &a0 [x,x,x,x,x,x,x,x]\n" + "\n".join(f"a{n}: &a{n} [" + f"*a{n - 1}," * 8 + "]" for n in range(1, 12)),
         "document contains excessive aliasing; write the values out"),
    ],
)  # fmt: skip
def test_a_mistake_has_its_place_and_a_way_out(text, message):
    with pytest.raises(ManifestError) as error:
        list(documents(text, "labs/x.yaml"))
    (problem,) = error.value.problems
    assert str(problem).startswith("labs/x.yaml: ")
    assert message in str(problem)
    assert len(str(problem)) < 400


def test_a_file_that_never_ends_is_refused_by_its_size():
    with pytest.raises(ManifestError, match="Too long: it is larger than 128 MiB; split it into several files"):
        list(documents(bytes(MOST_BYTES + 1), "/dev/zero"))


def test_a_document_alone_is_the_only_one():
    assert document("", "x") is None
    with pytest.raises(ManifestError, match="there must be one, not 2; leave the others out"):
        document("a: 1\n---\nb: 2", "x")


def test_a_long_list_of_ordinary_objects_is_no_large_object():
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"text": "x" * 1000}}
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": [item] * (HEAVIEST // 900)})
    assert len(listed) > HEAVIEST
    assert len(parse_manifests(listed, "x")) == HEAVIEST // 900
    (text,) = documents("items:\n" + f"- {json.dumps(item)}\n" * 4200, "x")
    assert len(text["items"]) == 4200
    assert len(next(documents(f"- {json.dumps(item)}\n" * 4200, "x"))) == 4200


BIG = """
import sys
sys.stdout.write({begin!r} + {between!r}.join({pair!r} % (n, n) for n in range(900_000)) + {end!r})
"""

# Run by a small process: the kernel counts the memory of the one that forked to that of its child.
MEASURED = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([done.returncode, done.stdout, done.stderr, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


@pytest.mark.parametrize(
    ("begin", "pair", "between", "end"),
    [
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n", "  key%d: value%d", "\n", "\n"),
        ('{"apiVersion":"v1","kind":"ConfigMap","data":{', '"key%d":"value%d"', ",", "}}"),
        ("", "key%d: value%d", "\n", "\n"),
    ],
    ids=["yaml", "json", "bare"],
)  # fmt: skip
def test_a_map_of_900_000_keys_is_refused_within_two_seconds_and_200_mb(begin, pair, between, end, tmp_path):
    file = tmp_path / "big.yaml"
    with file.open("w") as out:
        subprocess.run(
            [sys.executable, "-c", BIG.format(begin=begin, pair=pair, between=between, end=end)], stdout=out, check=True
        )
    command = [sys.executable, "-c", MEASURED, sys.executable, "-m", "netproxy", "render", "-f", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    status, printed, said, seconds, kilobytes = json.loads(done.stdout)
    assert (status, printed) == (2, "")
    assert f"{file}: line " in said
    assert "Too long" in said
    assert seconds < 2
    assert kilobytes < 200 << 10


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs", "Cc"])), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(PLAIN)
def test_what_is_written_as_yaml_or_json_is_read_again(value):
    expected = _whole(value)
    quoted = yaml.safe_dump(
        value, allow_unicode=True, default_style='"'
    )  # PyYAML leaves y and 1e3 bare, go-yaml reads a bool and a number
    assert document(quoted, "x") == expected
    if isinstance(value, dict | list):
        assert list(documents(json.dumps(value) + "\n" + json.dumps(value), "x")) == [expected, expected]


@given(st.text() | st.binary() | st.text(alphabet="{}[]:,-&*!|>'\"#%@`? \nabc01\t"))
def test_any_text_is_read_or_refused(text):
    with suppress(ManifestError):
        json.dumps(list(documents(text, "x")), allow_nan=False)


def _whole(value):
    """Numbers as they are after JSON."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    is_whole = isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) < 2**63
    return int(value) if is_whole else value


# --- lists and kinds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", "x.yaml: document: Invalid value: 5: must be an object"),
        ("[{apiVersion: v1, kind: Pod}, 7]", "x.yaml: [1]: Invalid value: 7: must be an object"),
        ("{apiVersion: v1, kind: 5}", "x.yaml: kind: Invalid value: 5: must be of type string"),
        ("{apiVersion: [], kind: Pod}", "x.yaml: apiVersion: Invalid value: []: must be of type string"),
        ("{apiVersion: v1, kind: Pod, metadata: 5}", "x.yaml: Pod: metadata: Invalid value: 5: must be of type object"),
        ("{apiVersion: v1, kind: List, items: 5}", "x.yaml: items: Invalid value: 5: must be of type array"),
        ("{apiVersion: v1, kind: List, items: [null]}", "x.yaml: items[0]: Invalid value: null: must be an object"),
        ("{apiVersion: v1, kind: List, items: [{kind: Pod}]}", "x.yaml: items[0].apiVersion: Required value"),
        ("{apiVersion: v1, kind: List, items: [{metadata: {name: a}}]}", "x.yaml: items[0].kind: Required value"),
    ],
)
def test_what_is_no_object_is_refused_with_its_place(text, message):
    with pytest.raises(ManifestError) as error:
        parse_manifests(text, "x.yaml")
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    "text", ["{apiVersion: v1, kind: List, items: null}", "{apiVersion: v1, kind: ServiceList, items: }"]
)
def test_a_list_without_items_is_empty(text):
    assert parse_manifests(text, "x") == []


def test_a_kind_that_only_ends_in_list_is_an_object():
    (item,) = parse_manifests("{apiVersion: mine.dev/v1, kind: AllowList, metadata: {name: a}}", "x")
    assert item.obj["kind"] == "AllowList"


@pytest.mark.parametrize(
    ("version", "kind"),
    [("serving.knative.dev/v1", "Service"), ("postgresql.cnpg.io/v1", "Cluster"), ("cluster.x-k8s.io/v1beta1", "Cluster"),
     ("apps.kruise.io/v1alpha1", "Deployment"), ("metrics.k8s.io/v1beta1", "Node"), ("v1", "Bogus"), ("example.com/v1", "Servce")],
)  # fmt: skip
def test_a_kind_of_somebody_else_is_left_out(version, kind):
    error, warning = unknown_kind({"apiVersion": version, "kind": kind})
    assert error is None
    assert "left out" in str(warning)


@pytest.mark.parametrize(
    ("version", "kind", "proposal"),
    [("extensions/v1beta1", "Deployment", "apps/v1"), ("apps/v1beta2", "ReplicaSet", "apps/v1"), ("v1", "Deployment", "apps/v1"),
     ("discovery.k8s.io/v1beta1", "EndpointSlice", "discovery.k8s.io/v1"), ("networking.k8s.io/v1beta1", "ServiceCIDR", "networking.k8s.io/v1"),
     ("autoscaling/v2beta2", "HorizontalPodAutoscaler", "autoscaling/v2"), ("netproxy.dev/v1", "Cluster", "netproxy.dev/v1alpha1"),
     ("apps/v1", "Service", "v1"), ("componentconfig/v1alpha1", "KubeProxyConfiguration", "kubeproxy.config.k8s.io/v1alpha1")],
)  # fmt: skip
def test_a_former_group_of_kubernetes_is_told_the_present_one(version, kind, proposal):
    error, _ = unknown_kind({"apiVersion": version, "kind": kind})
    assert str(error).endswith(f"did you mean apiVersion {proposal}?")
