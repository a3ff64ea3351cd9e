"""Labs: a cluster, steps to read along, checks as data, a solution that passes and a broken twin that does not."""
