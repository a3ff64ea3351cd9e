"""iptables-save text and values, each way."""

import pytest
from support.cases import recorded_cases

from netproxy.core.errors import KernelError
from netproxy.core.net import Family
from netproxy.ruleset.iptables import parse, parse_counted, parse_rule, quote, render, rule_words, tokens
from netproxy.ruleset.ir import Goto, OtherTarget, Recent, Words, comment_of


@pytest.mark.parametrize("case", recorded_cases(), ids=lambda case: case.id)
@pytest.mark.parametrize(("file", "family"), [("iptables.txt", Family.IPV4), ("ip6tables.txt", Family.IPV6)])
def test_a_recorded_save_survives_reading_and_writing(case, file, family):
    text = case.recorded(file)
    rules = parse(text, family)
    assert render(rules) == text
    assert parse(render(rules), family) == rules


@pytest.mark.parametrize(
    "words",
    [
        "-p icmp -m icmp --icmp-type 8 -j ACCEPT",
        "-s 10.0.0.0/8 -i eth0 -o eth1 -g MINE",
        "! -i lo -m set ! --match-set BAD src,dst -j DROP",
        "-m recent --update --seconds 60 --hitcount 4 --name X --mask 255.255.255.255 --rsource -j DROP",
        "-m limit --limit 5/min -j LOG --log-prefix \"two words: \"",
        "-p tcp -m tcp ! --dport 22 -j REJECT --reject-with tcp-reset",
        "-p tcp -m multiport --dports 80,443 -j ACCEPT",
        "-m mark --mark 0x1 -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff",
        "-m statistic --mode nth --every 3 --packet 0 -j RETURN",
        "-j MASQUERADE",
        "-p tcp -m tcp --dport 80 -m comment --comment \"it's \\\"quoted\\\"\" -j DNAT --to-destination 10.0.0.1:80",
        "-f -j DROP",
    ],
)  # fmt: skip
def test_rules_of_other_people_survive(words):
    rule = parse_rule(tokens(words))
    written = rule_words(rule)
    assert parse_rule(tokens(written.strip())) == rule


def test_what_is_not_understood_is_kept_word_by_word():
    rule = parse_rule(["-m", "limit", "--limit", "5/min", "-j", "LOG", "--log-level", "4"])
    assert rule.match == (Words(("-m", "limit", "--limit", "5/min")),)
    assert rule.action == OtherTarget(("-j", "LOG", "--log-level", "4"))
    assert parse_rule(["-g", "X"]).action == Goto("X")


def test_counters_are_read_by_rule():
    text = "*nat\n:A - [0:0]\n[3:180] -A A -s 10.0.0.1/32 -j RETURN\n[0:0] -A A -j RETURN\nCOMMIT\n"
    _, counters = parse_counted(text, Family.IPV4)
    assert counters["nat", "A"] == ((3, 180), (0, 0))


def test_an_unreadable_line_is_named():
    with pytest.raises(KernelError, match="line 2 of iptables-save cannot be read: -A NOWHERE"):
        parse("*nat\n-A NOWHERE -j DROP\nCOMMIT\n", Family.IPV4)


def test_netmasks_and_bare_addresses_get_their_length():
    assert (
        rule_words(parse_rule(["-s", "10.0.0.0/255.0.0.0", "-d", "10.1.1.1", "-j", "DROP"]))
        == " -s 10.0.0.0/8 -d 10.1.1.1/32 -j DROP"
    )


def test_small_things():
    assert quote("") == '""'
    assert comment_of(parse_rule(["-m", "comment", "--comment", "x", "-j", "DROP"])) == "x"
    assert comment_of(parse_rule(["-j", "DROP"])) == ""
    assert isinstance(
        parse_rule(["-m", "recent", "--set", "--name", "X", "--mask", "255.255.255.255", "--rsource"]).match[0], Recent
    )
