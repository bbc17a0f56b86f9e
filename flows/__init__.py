"""Orchestration: what is run, in which order and when. The only place that knows Prefect and DVC."""
