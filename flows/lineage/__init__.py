"""The rim of `components.lineage`: what writes records after a stage's commit, and the commands that ask about them.

`record_keeping` is called by both executors; `stage_records` says what a record holds; `ledger` opens the log. Modules
named `*_commands` (and `*_command`) are the command line, the others are what it calls.
"""
