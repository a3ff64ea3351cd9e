"""kubectl's columns, printed by the server: one module for each group of kinds, `table` puts them together."""
