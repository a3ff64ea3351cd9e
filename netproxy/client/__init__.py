"""One port for every API: list, watch, write; in process or over HTTP; and a cache that keeps it true."""
