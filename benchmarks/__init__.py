"""The budgets, measured: ``python -m benchmarks`` prints one table, explained in docs/benchmarks.md."""
