"""Judging generated images: every score with an interval, its chance level, and what real images score.

The judges are small and ours (probes and a two-tower model on frozen EfficientNet-Lite0 features), so every score is a
proxy, useful for comparing runs of this project with each other and with its own real images, and for nothing else.
"""
