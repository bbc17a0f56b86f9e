"""Public benchmarks: their prompt files, how each wants to be drawn, and the scores that can be given here.

Pictures are written in the folders that a benchmark's own scorers read, so that they can be run on them elsewhere. What
is not scored here is named together with what it would need.
"""
