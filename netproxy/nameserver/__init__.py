"""The process that answers DNS: objects → zone, sockets, and what is asked upstream."""
