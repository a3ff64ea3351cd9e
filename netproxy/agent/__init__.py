"""One process per cluster: store, controllers, kubelets, proxies, API; wired here and nowhere else."""
