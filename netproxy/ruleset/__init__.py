"""Packet rules as values: what a rule matches, what it does, and the text it is written as."""
