"""Benchmarks of solvq against other packages; run ``python -m bench --help``.

The lesson taken from benchopt: one objective computes every reported number, so no method marks
its own work; a method is one small file; ``skip`` says why a method does not run.
"""
