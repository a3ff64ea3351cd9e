"""JSON as Go's strict decoder reads it: what is told, what is refused, in which words."""

import pytest

from netproxy.objects.decoding import MOST_TOLD, DecodingError, base64_fault, read
from netproxy.objects.gojson import SyntaxFaultError, parsed, plain


def reading(text, of="core.v1.Service"):
    value, is_plain = parsed(text.encode())
    return read(value, of, is_plain=is_plain)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "unexpected end of JSON input"),
        ("{", "unexpected end of JSON input"),
        ("[1,", "unexpected end of JSON input"),
        ('{"a"', "unexpected end of JSON input"),
        ('{"a":-', "unexpected end of JSON input"),
        ('"\\u12', "unexpected end of JSON input"),
        ("hello", "invalid character 'h' looking for beginning of value"),
        ("'a'", r"invalid character '\'' looking for beginning of value"),
        ('{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ('{"a":1}x', "invalid character 'x' after top-level value"),
        ('{"a":{}}}', "invalid character '}' after top-level value"),
        ("nul]", "invalid character ']' in literal null (expecting 'l')"),
        ("tRue", "invalid character 'R' in literal true (expecting 'r')"),
        ("falsy", "invalid character 'y' in literal false (expecting 'e')"),
        ("-x", "invalid character 'x' in numeric literal"),
        ("1.x", "invalid character 'x' in numeric literal"),
        ("1ex", "invalid character 'x' in numeric literal"),
        ("1e+x", "invalid character 'x' in numeric literal"),
        ("[1.]", "invalid character ']' in numeric literal"),
        ("-", "unexpected end of JSON input"),
        ("1.", "unexpected end of JSON input"),
        ("1e", "unexpected end of JSON input"),
        ("[01]", "invalid character '1' after array element"),
        ('"\n"', r"invalid character '\n' in string"),
        ('"\x01"', r"invalid character '\x01' in string"),
        ('"\\x"', r"invalid escape sequence `\x` in string"),
        ('"\\u12g4"', r"invalid escape sequence `\u12g4` in string"),
        ("é", "invalid character 'é' looking for beginning of value"),
        ("\x7f", r"invalid character '\x7f' looking for beginning of value"),
        ("\ufeff{}", r"invalid character '\ufeff' looking for beginning of value"),
        ("[" * 10_001, "exceeded max depth"),
        ("[" * 5_000 + "]" * 5_000, "exceeded max depth"),
    ],
)
def test_what_is_no_json_is_said_in_gos_words(text, words):
    with pytest.raises(SyntaxFaultError) as error:
        parsed(text.encode())
    assert str(error.value) == words


def test_half_a_character_is_replaced():
    assert parsed(rb'{"\udc00": ["\ud800x", {"a": 1, "a": "\ud83d\ude00"}]}')[0] == {
        "\ufffd": ["\ufffdx", [("a", 1), ("a", "\U0001f600")]]
    }


def test_what_go_reads_and_others_refuse():
    assert parsed(b'{"a": "\xff", "b": [[], {}, {"c": [1e5, -0.5, 3E-2]}], "d": "\\"\\u00e9\\n"}') == (
        {"a": "\ufffd", "b": [[], {}, {"c": [1e5, -0.5, 0.03]}], "d": '"é\n'},
        False,
    )


@pytest.mark.parametrize("text", ['{"a": 1, "a" : 2}', '{"a":1,"a":2}', '[{"x": {"a":1,\n"a"\t:2}}]'])
def test_a_key_that_is_there_twice_is_seen(text):
    value, is_plain = parsed(text.encode())
    assert not is_plain
    assert plain(value) in ({"a": 2}, [{"x": {"a": 2}}])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"metadata":{"name":"a","lables":{}},"spec":{"portz":[1],"ports":[{"port":80,"portt":1}],"foo":"bar"}}',
         ["unknown metadata.lables", "unknown spec.portz", "unknown spec.ports[0].portt", "unknown spec.foo"]),
        ('{"metadata":{"name":"d","name":"e","labels":{"a":"1","a":"2"}}}',
         ["duplicate metadata.name", "duplicate metadata.labels.a"]),
        ('{"Metadata":{"name":"k"},"metadata":{"name":"cs"}}', ["unknown Metadata"]),
        ('{"spec":{"x":1,"x":2}}', ["unknown spec.x"]),
        ('{"x":{"a":1,"a":2},"spec":{"type":null}}', ["unknown x"]),
    ],
)  # fmt: skip
def test_what_a_strict_reader_refuses_is_told_in_order(text, told):
    assert list(reading(text).told) == ['{} field "{}"'.format(*item.split(" ", 1)) for item in told]


def test_what_is_told_is_dropped_and_the_last_of_two_counts():
    text = '{"metadata":{"name":"a","x":1},"metadata":{"labels":{"a":"1"}},"spec":{"type":"A","type":"B","y":[]}}'
    assert reading(text).obj == {"metadata": {"name": "a", "labels": {"a": "1"}}, "spec": {"type": "B"}}


def test_not_more_is_told_than_can_be_read():
    text = "{" + ",".join(f'"f{number}":1' for number in range(200)) + "}"
    assert len(reading(text).told) == MOST_TOLD


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"metadata":{"name":1}}', "number into Go struct field ObjectMeta.metadata.name of type string"),
        ('{"metadata":"x"}', "string into Go struct field Service.metadata of type v1.ObjectMeta"),
        ('{"spec":{"ports":{}}}', "object into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort"),
        ('{"spec":{"ports":[[]]}}', "array into Go struct field ServiceSpec.spec.ports of type v1.ServicePort"),
        ('{"spec":{"selector":{"a":1}}}', "number into Go struct field ServiceSpec.spec.selector of type string"),
        ('{"spec":{"selector":[]}}', "array into Go struct field ServiceSpec.spec.selector of type map[string]string"),
        ('{"spec":{"publishNotReadyAddresses":"x"}}',
         "string into Go struct field ServiceSpec.spec.publishNotReadyAddresses of type bool"),
        ('{"spec":{"type":5}}', "number into Go struct field ServiceSpec.spec.type of type v1.ServiceType"),
        ('{"spec":{"ipFamilies":"IPv4"}}', "string into Go struct field ServiceSpec.spec.ipFamilies of type []v1.IPFamily"),
        ('{"spec":{"ports":[{"port":"80"}]}}', "string into Go struct field ServicePort.spec.ports.port of type int32"),
        ('{"spec":{"ports":[{"port":80.5}]}}', "number 80.5 into Go struct field ServicePort.spec.ports.port of type int32"),
        ('{"spec":{"ports":[{"port":99999999999}]}}',
         "number 99999999999 into Go struct field ServicePort.spec.ports.port of type int32"),
        ('{"spec":{"ports":[{"port":"x","targetPort":true}]}}',
         "bool into Go struct field ServicePort.spec.ports.targetPort of type int32"),
        ('{"spec":{"ports":[{"targetPort":1.5}]}}',
         "number 1.5 into Go struct field ServicePort.spec.ports.targetPort of type int32"),
        ('{"metadata":{"creationTimestamp":5}}',
         "number into Go struct field ObjectMeta.metadata.creationTimestamp of type string"),
        ('{"metadata":{"generation":1e30}}', "number 1e+30 into Go struct field ObjectMeta.metadata.generation of type int64"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_said_in_gos_words(text, words):
    with pytest.raises(DecodingError) as error:
        reading(text)
    assert str(error.value) == f"json: cannot unmarshal {words}"


def test_the_first_wrong_type_counts():
    with pytest.raises(DecodingError, match=r"Go struct field ObjectMeta\.metadata\.name"):
        reading('{"metadata":{"name":1},"spec":{"ports":{}}}')


def test_what_is_no_struct_at_all():
    with pytest.raises(DecodingError, match=r"json: cannot unmarshal bool into Go value of type v1\.Service"):
        read(True, "core.v1.Service")


@pytest.mark.parametrize("value", [None, [None], {"a": None}])
def test_null_says_nothing(value):
    assert read({"spec": {"ports": value if isinstance(value, list) else None}}, "core.v1.Service").obj["spec"][
        "ports"
    ] in (
        None,
        [{}],
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [("", None), ("QQ==", None), ("QUI=", None), ("QU\nJD", None), ("QQ", 0), ("QUJDR", 4), ("a*b=", 1), ("=", 0), ("QQ=", 3),
     ("QQ=x", 2), ("QQ==x", 4), ("QUI=Q", 4), ("QQ=\n=", None)],
)  # fmt: skip
def test_where_base64_goes_wrong(text, place):
    assert base64_fault(text) == place


def test_bytes_are_base64():
    assert read({"data": {"a": "QQ=="}}, "core.v1.Secret").obj == {"data": {"a": "QQ=="}}
    with pytest.raises(DecodingError, match="illegal base64 data at input byte 0"):
        read({"data": {"a": "QQ"}}, "core.v1.Secret")
    with pytest.raises(DecodingError, match=r"number into Go struct field Secret\.data of type \[\]uint8"):
        read({"data": {"a": 1}}, "core.v1.Secret")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"containers": [{"livenessProbe": {"httpGet": "x"}}]},
         "string into Go struct field Probe.spec.containers.livenessProbe.ProbeHandler.httpGet of type v1.HTTPGetAction"),
        ({"volumes": [{"name": "a", "emptyDir": []}]},
         "array into Go struct field Volume.spec.volumes.VolumeSource.emptyDir of type v1.EmptyDirVolumeSource"),
        ({"containers": [{"resources": {"limits": "x"}}]},
         "string into Go struct field ResourceRequirements.spec.containers.resources.limits of type v1.ResourceList"),
    ],
)  # fmt: skip
def test_a_struct_inside_another_one_has_its_name_in_the_path(spec, words):
    with pytest.raises(DecodingError) as error:
        read({"spec": spec}, "core.v1.Pod")
    assert str(error.value) == f"json: cannot unmarshal {words}"


@pytest.mark.parametrize("value", [True, {}, []])
def test_what_is_no_quantity(value):
    with pytest.raises(DecodingError, match="quantities must match the regular expression"):
        read({"spec": {"containers": [{"resources": {"limits": {"cpu": value}}}]}}, "core.v1.Pod")


def test_what_reads_itself_is_taken_as_it_is():
    limits = {"cpu": "1", "memory": 5, "x": 0.5}
    obj = {"spec": {"containers": [{"resources": {"limits": limits}, "ports": [{"containerPort": 1}]}]}}
    assert read(obj, "core.v1.Pod").obj == obj


def test_what_has_no_shape_is_taken_as_it_is_with_the_last_of_two():
    text = '{"metadata":{"managedFields":[{"fieldsV1":{"f:a":{},"f:a":{"x":[1]}}}],"x":1},"data":{"a":"1"}}'
    found = reading(text, "core.v1.ConfigMap")
    assert found.obj["metadata"] == {"managedFields": [{"fieldsV1": {"f:a": {"x": [1]}}}]}
    assert found.told == ('unknown field "metadata.x"',)


@pytest.mark.parametrize(("value", "what"), [(True, "bool"), ("x", "string")])
def test_numbers_with_a_point(value, what):
    root = "apis.apiextensions.v1.JSONSchemaProps"
    for good in (1, 0.5):
        assert read({"maximum": good}, root).obj == {"maximum": good}
        assert read({"maximum": good, "x": 1}, root).obj == {"maximum": good}
    with pytest.raises(DecodingError, match=f"cannot unmarshal {what} into Go struct field .*maximum of type float64"):
        read({"maximum": value}, root)


def test_an_integer_or_a_string_in_full():
    obj = {"spec": {"ports": [{"targetPort": 80}, {"targetPort": "http"}], "selector": {"a": "1"}, "x": 1}}
    assert read(obj, "core.v1.Service").obj == {"spec": {key: obj["spec"][key] for key in ("ports", "selector")}}


def test_a_wrong_type_before_bad_bytes_counts():
    with pytest.raises(DecodingError, match=r"ObjectMeta\.metadata\.name"):
        read({"metadata": {"name": 1}, "data": {"a": "!"}}, "core.v1.Secret")


def test_the_type_of_a_map_of_bytes():
    with pytest.raises(DecodingError, match=r"of type map\[string\]\[\]uint8"):
        read({"data": []}, "core.v1.Secret")


def test_an_object_of_many_values():
    assert parsed(b'{"a": [], "a": [1, {}], "b": true, "c": null, "d": "\\u0041"}')[0][-1] == ("d", "A")
