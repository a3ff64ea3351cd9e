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
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ("1e+x", "invalid character 'x' in exponent of numeric literal"),
        ("[01]", "invalid character '1' after array element"),
        ('"\n"', r"invalid character '\n' in string literal"),
        ('"\x01"', r"invalid character '\x01' in string literal"),
        ('"\\x"', "invalid character 'x' in string escape code"),
        ('"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"),
        ("é", "invalid character 'Ã' looking for beginning of value"),
        ("\x7f", r"invalid character '\x7f' looking for beginning of value"),
        ("[" * 10_001, "exceeded max depth"),
        ("[" * 5_000 + "]" * 5_000, "exceeded max depth"),
    ],
)
def test_what_is_no_json_is_said_in_gos_words(text, words):
    with pytest.raises(SyntaxFaultError) as error:
        parsed(text.encode())
    assert str(error.value) == words


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
