"""The kernel, thin: namespaces, links, rules, conntrack, processes. Everything that decides is elsewhere."""
