"""Benchmarks of `solvq.vector`: layers, solvers of the convex problem, and their ablation.

Importing this package imports no torch; the suites do when they run. A method hands back what it
computed, and `bench.vector.objective` computes every number that is reported about it.
"""
