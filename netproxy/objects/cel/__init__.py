"""The Common Expression Language, as far as rules of custom kinds are written in it."""
