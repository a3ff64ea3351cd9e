"""Expressions in CEL: all of them were asked of a real API server, as rules of a custom kind."""

import pytest

from netproxy.objects.cel.evaluate import compiled
from netproxy.objects.cel.values import CelError

SELF = {
    "i": 1, "s": "abc", "n": 1.5, "b": True, "l": [1, 2, 3], "m": {"x": "y", "z": "w"}, "o": {"p": 1},
    "ls": ["a", "b"], "lo": [{"k": "a", "v": 1}, {"k": "b", "v": 2}], "ios": "5%",
}  # fmt: skip
TRUE = [
    # operators
    "self.i + 1 == 2", "self.i - 2 == -1", "7 / 2 == 3", "-7 / 2 == -3", "7 % 3 == 1", "-7 % 3 == -1", "2 * 3 == 6",
    "1.5 + 1.5 == 3.0", "1.5 - 1.0 == 0.5", "2.0 * 1.5 == 3.0", "3.0 / 2.0 == 1.5", "1u + 2u == 3u", "7u / 2u == 3u", "5u % 2u == 1u",
    "3u - 1u == 2u", "2u * 2u == 4u", "-self.i == -1", "-self.n == -1.5", "'a' + 'b' == 'ab'", "[1] + [2] == [1, 2]",
    "b'a' + b'b' == b'ab'", "self.i == 1 ? true : false", "!(self.i == 2)", "!!self.b", "self.i < 2 && self.i <= 1", "self.n > 1.0",
    "self.n >= 1.5", "'a' < 'b'", "1 < 2.5", "2.5 > 1", "dyn(1) == dyn(1.0)", "dyn(1) != dyn('1')", "dyn(true) != dyn(1)",
    "self.l == [1, 2, 3]", "self.m == {'x': 'y', 'z': 'w'}", "[1, 2] != [1]", "1 in self.l", "!(9 in self.l)", "'x' in self.m",
    "self.i == 9 || self.b", "1.0 / 0.0 > 1.0", "0x1F == 31", "1e3 == 1000.0", ".5 == 0.5", "0x10u == 16u",
    "false || true ? true : false",
    # what one side decides counts
    "self.l[9] == 1 || self.b", "self.b || self.l[9] == 1", "!(self.l[9] == 1 && !self.b)",
    # parts
    "self.l[0] == 1", "self.m['x'] == 'y'", "self.m.x == 'y'", "has(self.o.p)", "!has(self.o.q)", "has(self.m.x)", "{'a': 1}.a == 1",
    "{'a': 1}['a'] == 1", "{1: 'a'}[1] == 'a'", "[1, 2][1] == 2", "{} == {}", "[] == []", "self.lo[0].k == 'a'",
    # what may not be there
    "self.o.?q.orValue(5) == 5", "self.o.?p.orValue(5) == 1", "self.?o.p.hasValue()", "self.?o.?q.hasValue() == false",
    "self.m[?'x'].orValue('') == 'y'", "self.l[?9].orValue(7) == 7", "optional.of(1).value() == 1", "optional.none().orValue(3) == 3",
    "!optional.ofNonZeroValue('').hasValue()", "optional.ofNonZeroValue('a').hasValue()", "optional.none().or(optional.of(2)).value() == 2",
    "optional.of(1).or(optional.of(2)).value() == 1", "self.o.?p.optMap(x, x + 1).orValue(0) == 2",
    "self.o.?q.optMap(x, x + 1).orValue(0) == 0", "self.o.?p.optFlatMap(x, optional.of(x)).value() == 1", "[?self.o.?p, ?self.o.?q] == [1]",
    "{?'a': self.o.?p, ?'b': self.o.?q} == {'a': 1}", "has(self.?o.p)", "!has(self.?o.q)", "self.?m['x'].orValue('') == 'y'",
    "[?self.o.?q].size() == 0", "optional.none() == optional.none()",
    # macros
    "self.l.all(x, x > 0)", "self.l.exists(x, x == 2)", "self.l.exists_one(x, x == 2)", "self.l.map(x, x * 2) == [2, 4, 6]",
    "self.l.map(x, x > 1, x * 2) == [4, 6]", "self.l.filter(x, x > 1) == [2, 3]", "self.m.all(k, k != 'q')", "self.m.exists(k, k == 'x')",
    "self.m.map(k, k).size() == 2", "self.m.filter(k, k == 'x') == ['x']", "!self.l.all(x, x > 1)", "!self.l.exists(x, x > 5)",
    "self.l.exists(x, 1 / (x - 2) > 100 || x == 3)", "!self.l.all(x, 1 / (x - 2) > 100 && x == 3)", "self.m.exists(k, v, v == 'w')",
    "self.l.all(i, v, v == i + 1)", "self.m.transformList(k, v, k + v).size() == 2", "self.l.transformMap(i, v, v * 2) == {0: 2, 1: 4, 2: 6}",
    "self.l.transformMap(i, v, v > 1, v) == {1: 2, 2: 3}", "self.l.transformList(i, v, v > 1, v) == [2, 3]", "self.l.existsOne(i, v, v == 2)",
    "self.lo.map(x, x.v).sum() == 3", "self.lo.exists(x, x.k == 'b' && x.v == 2)",
    "self.lo.sortBy(x, -x.v)[0].k == 'b'",
    # strings
    "size('héllo') == 5", "'abc'.size() == 3", "self.s.startsWith('a')", "self.s.endsWith('c')", "self.s.contains('b')",
    "self.s.matches('^a.c$')", "matches(self.s, 'b')", "'AbC'.lowerAscii() == 'abc'", "'AbC'.upperAscii() == 'ABC'", "' a '.trim() == 'a'",
    "'aaa'.replace('a', 'b') == 'bbb'", "'aaa'.replace('a', 'b', 2) == 'bba'", "'a,b,c'.split(',') == ['a', 'b', 'c']",
    "'a,b,c'.split(',', 2) == ['a', 'b,c']", "'a,b'.split(',', 0) == []", "'ab'.split('') == ['a', 'b']", "'a,b'.split(',', -1) == ['a', 'b']",
    "'abcd'.substring(1) == 'bcd'", "'abcd'.substring(1, 3) == 'bc'", "'abc'.charAt(1) == 'b'", "'abc'.charAt(3) == ''",
    "'abcb'.indexOf('b') == 1", "'abcb'.indexOf('b', 2) == 3", "'abcb'.lastIndexOf('b') == 3",
    "['a', 'b'].join() == 'ab'", "self.ls.join('-') == 'a-b'", "'a1b22'.find('[0-9]+') == '1'", "'abc'.find('[0-9]+') == ''",
    "'a1b22'.findAll('[0-9]+') == ['1', '22']", "'a1b22'.findAll('[0-9]+', 1) == ['1']", "strings.quote('a\"b') == '\"a\\\\\"b\"'",
    "'%s %d %.2f %x %X %o %b %%'.format(['a', 5, 1.5, 255, 255, 8, 5]) == 'a 5 1.50 ff FF 10 101 %'",
    "'%s'.format([[1, 'a', true, null]]) == '[1, \"a\", true, null]'", "'%s'.format([{'b': 1, 'a': 2.5}]) == '{\"a\":2.500000, \"b\":1}'",
    "'%x'.format(['hi']) == '6869'", "'%s'.format([int]) == 'int'", "'%e'.format([1234.5]) == '1.234500×10⁰³'",
    r"r'\d' == '\\d'", "'a\\tb'.size() == 3", "'\\u00e9' == 'é'", "'\\x41' == 'A'", "'\\101' == 'A'", "'''a'b''' == \"a'b\"",
    "b'abc'.size() == 3", "bytes('abc') == b'abc'",
    "'%s'.format([[duration('90s'), timestamp('2020-01-01T00:00:00Z'), b'x', [1.0]]]) == '[duration(\"90s\"), timestamp(\"2020-01-01T00:00:00Z\"), b\"x\", [1.000000]]'",
    "'%s %s'.format([100000000.0, 1234567.5]) == '1e+08 1.2345675e+06'", "'%.3e'.format([0.00012]) == '1.200000×10⁻⁰⁴'", "string(0.00001) == '1e-05'",
    # conversions
    "int('5') == 5", "int(5.9) == 5", "int(5u) == 5", "uint(5) == 5u", "double('1.5') == 1.5", "double(1) == 1.0", "string(5) == '5'",
    "string(1.5) == '1.5'", "string(true) == 'true'", "string(b'a') == 'a'", "string('a') == 'a'", "bool('true')", "!bool('f')", "bool(true)",
    "type(1) == int", "type('') == string", "type(1.0) == double", "type([]) == list", "type({}) == map", "type(null) == null_type",
    "type(1u) == uint", "type(b'') == bytes", "type(true) == bool", "type(int) == type", "dyn(1) == 1", "bytes(b'a') == b'a'",
    # times
    "duration('90m') == duration('1h30m')", "duration('1h') > duration('30m')", "duration('1h').getHours() == 1",
    "duration('90s').getMinutes() == 1", "duration('90s').getSeconds() == 90", "duration('1s').getMilliseconds() == 1000",
     "string(duration('90s')) == '90s'", "int(timestamp('1970-01-01T00:01:00Z')) == 60",
    "timestamp('2020-02-03T04:05:06Z').getFullYear() == 2020", "timestamp('2020-02-03T04:05:06Z').getMonth() == 1",
    "timestamp('2020-02-03T04:05:06Z').getDate() == 3", "timestamp('2020-02-03T04:05:06Z').getDayOfMonth() == 2",
    "timestamp('2020-02-03T04:05:06Z').getDayOfWeek() == 1", "timestamp('2020-02-03T04:05:06Z').getDayOfYear() == 33",
    "timestamp('2020-02-03T04:05:06Z').getHours() == 4", "timestamp('2020-02-03T04:05:06Z').getMinutes() == 5",
    "timestamp('2020-02-03T04:05:06Z').getSeconds() == 6", "timestamp('2020-02-03T04:05:06.5Z').getMilliseconds() == 500",
    "timestamp('2020-02-03T04:05:06Z').getHours('America/New_York') == 23", "string(timestamp('2020-02-03T04:05:06Z')) == '2020-02-03T04:05:06Z'",
    "string(timestamp('2020-02-03T04:05:06.25Z')) == '2020-02-03T04:05:06.25Z'",
    "timestamp('2020-02-03T05:00:00Z') - timestamp('2020-02-03T04:00:00Z') == duration('1h')",
    "timestamp('2020-02-03T04:00:00Z') + duration('1h') == timestamp('2020-02-03T05:00:00Z')",
    "duration('1h') + timestamp('2020-02-03T04:00:00Z') == timestamp('2020-02-03T05:00:00Z')", "timestamp(60) == timestamp('1970-01-01T00:01:00Z')",
    "timestamp('2020-02-03T04:00:00Z') - duration('1h') < timestamp('2020-02-03T04:00:00Z')",
    "timestamp(timestamp('2020-02-03T04:00:00Z')) == timestamp('2020-02-03T04:00:00Z')", "duration(duration('1s')) == duration('1s')",
    # lists and sets
    "[1, 2, 3].isSorted()", "![2, 1].isSorted()", "[1, 2].sum() == 3", "[1.5, 2.5].sum() == 4.0", "[3, 1, 2].min() == 1", "[3, 1, 2].max() == 3",
    "[1, 2, 1].indexOf(1) == 0", "[1, 2, 1].lastIndexOf(1) == 2", "[1].indexOf(5) == -1", "[1].lastIndexOf(5) == -1",
    "sets.contains([1, 2], [1])", "sets.intersects([1, 2], [2, 3])", "sets.equivalent([1, 2, 2], [2, 1])", "![].exists(x, x == 1)",
    "[[1], [2]].flatten() == [1, 2]", "[[[1]], [[2]]].flatten(2) == [1, 2]", "[1, 2, 1].distinct() == [1, 2]",
    "[1, 2, 3].slice(1, 3) == [2, 3]", "[3, 1, 2].sort() == [1, 2, 3]", "lists.range(3) == [0, 1, 2]", "[1, 2].reverse() == [2, 1]",
    "[1, 2].first().value() == 1", "[1, 2].last().value() == 2",
    # Kubernetes' own
    "isURL('https://a.b:8/x')", "!isURL('a b')", "url('https://a.b:8/x?q=1').getScheme() == 'https'", "url('https://a.b:8/x').getHost() == 'a.b:8'",
    "url('https://a.b:8/x').getHostname() == 'a.b'", "url('https://a.b:8/x').getPort() == '8'", "url('https://a.b/x').getPort() == ''",
    "url('https://a.b/x%20y').getEscapedPath() == '/x%20y'", "url('https://a.b/x?q=1&q=2').getQuery() == {'q': ['1', '2']}", "isURL('/a')",
    "isIP('1.2.3.4')", "!isIP('1.2.3')", "isIP('::1')", "!isIP('::ffff:1.2.3.4')", "ip('1.2.3.4').family() == 4", "ip('::1').family() == 6",
    "ip('127.0.0.1').isLoopback()", "ip('0.0.0.0').isUnspecified()", "ip('8.8.8.8').isGlobalUnicast()", "ip('169.254.1.1').isLinkLocalUnicast()",
    "ip('224.0.0.1').isLinkLocalMulticast()", "ip('ff02::1').isLinkLocalMulticast()", "ip.isCanonical('::1')", "!ip.isCanonical('0:0::1')",
    "string(ip('1.2.3.4')) == '1.2.3.4'", "ip('1.2.3.4') == ip('1.2.3.4')", "isCIDR('10.0.0.0/8')", "!isCIDR('10.0.0.0')", "!isCIDR('x/8')",
    "cidr('10.0.0.0/8').containsIP('10.1.1.1')", "cidr('10.0.0.0/8').containsIP(ip('10.1.1.1'))", "!cidr('10.0.0.0/8').containsIP('11.1.1.1')",
    "!cidr('10.0.0.0/8').containsIP('::1')", "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", "!cidr('10.1.0.0/16').containsCIDR(cidr('10.0.0.0/8'))",
    "cidr('10.0.0.0/8').prefixLength() == 8", "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')", "cidr('10.1.2.3/8').ip() == ip('10.1.2.3')",
    "string(cidr('10.0.0.0/8')) == '10.0.0.0/8'", "isQuantity('1Gi')", "!isQuantity('x')", "quantity('1Gi').isGreaterThan(quantity('500Mi'))",
    "quantity('1').isLessThan(quantity('2'))", "quantity('1k').compareTo(quantity('1000')) == 0", "quantity('1').compareTo(quantity('2')) == -1",
    "quantity('5').asInteger() == 5", "quantity('500m').asApproximateFloat() == 0.5", "quantity('5').isInteger()", "!quantity('500m').isInteger()",
      "quantity('1').add(quantity('1')) == quantity('2')", "quantity('1').add(1) == quantity('2')",
    "quantity('3').sub(quantity('1')) == quantity('2')", "quantity('3').sub(1) == quantity('2')",
    "format.dns1123Label().validate('A').hasValue()", "!format.dns1123Label().validate('a').hasValue()", "format.named('uuid').hasValue()",
    "!format.named('nope').hasValue()", "format.uuid().validate('x').hasValue()", "!format.labelValue().validate('a.b').hasValue()",
    "!format.dns1123LabelPrefix().validate('a-').hasValue()", "!format.dns1123SubdomainPrefix().validate('a-').hasValue()",
    "!format.dns1035LabelPrefix().validate('a-').hasValue()",
    # comments, blanks and names
    "true // so it is",  "true\n&& true", "true ? true : false ? false : true",
]  # fmt: skip
FAILING = [
    ("self.l[9] == 1", "index out of bounds: 9"), ("self.m['q'] == 'a'", "no such key: q"), ("1 / (self.i - 1) == 1", "division by zero"),
    ("1 % (self.i - 1) == 1", "modulus by zero"), ("self.i + 9223372036854775807 == 1", "integer overflow"),
    ("int(self.s) == 1", "type conversion error from 'string' to 'int'"), ("double(self.s) == 1.0", "type conversion error from 'string' to 'double'"),
    ("bool(self.s)", "type conversion error from 'string' to 'bool'"), ("duration(self.s) == duration('1s')", "type conversion error from 'string' to 'google.protobuf.Duration'"),
    ("optional.none().value() == 1", "optional.none() dereference"), ("[].min() == 1", "min called on empty list"),
    ("[].max() == 1", "max called on empty list"), ("quantity('1500m').asInteger() == 1", "cannot convert value to integer"),
    ("self.s.substring(9) == ''", "index out of range: 9"), ("self.s.charAt(9) == ''", "index out of range: 9"),
    ("self.l.slice(2, 9) == []", "cannot slice(2, 9), list is length 3"), ("dyn(self.i) + dyn(self.s) == dyn(1)", "no such overload"),
    ("dyn(self.i).size() == 1", "no such overload"), ("dyn(self.s) > dyn(1)", "no such overload"), ("dyn(self.i) in dyn(5)", "no such overload"),
    ("dyn(self.i).all(x, true)", "got 'types.Int', expected iterable type"), ("dyn(self.s).x == 1", "no such key: x"), ("self.l.all(x, 1 / (x - 1) >= 0)", "division by zero"),
    ("dyn(self.i) && dyn(true)", "no such overload"),  ("-dyn(self.s) == dyn(1)", "no such overload"),
    ("dyn(self.i).startsWith('a')", "no such overload"), ("dyn(self.l)['a'] == 1", "unsupported index type 'string' in list"), ("dyn(self.i).optMap(x, x).hasValue()", "no such overload"),
    ("uint(self.i - 5) == 1u", "unsigned integer overflow"),
]  # fmt: skip


@pytest.mark.parametrize("text", TRUE)
def test_what_is_true(text):
    assert compiled(text)({"self": SELF, "oldSelf": None}) is True


@pytest.mark.parametrize(("text", "why"), FAILING)
def test_what_has_no_value(text, why):
    with pytest.raises(CelError) as caught:
        compiled(text)({"self": SELF})
    assert str(caught.value) == why
