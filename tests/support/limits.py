"""What of a set of rules is longer than the kernel and its tools take."""

from netproxy.ruleset.ir import Comment, Recent, Ruleset
from netproxy.ruleset.limits import IPTABLES_CHAIN, IPTABLES_COMMENT, NFT_COMMENT, NFT_NAME, RECENT_NAME
from netproxy.ruleset.nft import Table


def _longer(texts, most: int) -> list[str]:
    return [text for text in texts if len(text.encode()) > most]


def too_long_in_iptables(rules: Ruleset) -> list[str]:
    chains = [chain for table in rules.tables.values() for chain in table.chains.values()]
    matches = [match for chain in chains for rule in chain.rules for match in rule.match]
    return [
        *_longer((chain.name for chain in chains), IPTABLES_CHAIN),
        *_longer((match.text for match in matches if isinstance(match, Comment)), IPTABLES_COMMENT),
        *_longer((match.name for match in matches if isinstance(match, Recent)), RECENT_NAME),
    ]


def too_long_in_nftables(table: Table) -> list[str]:
    chains, sets = table.chains.values(), table.sets.values()
    comments = [
        table.comment, *(item.comment for item in (*chains, *sets)),
        *(rule.comment for chain in chains for rule in chain.rules),
        *(element.comment for found in table.elements.values() for element in found.values()),
    ]  # fmt: skip
    return [*_longer((item.name for item in (*chains, *sets)), NFT_NAME), *_longer(comments, NFT_COMMENT)]
