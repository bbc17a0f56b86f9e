"""Lineage that an auditor can check without trusting us: records, their append-only log, and the questions about them.

A *record* says what one executed stage (or one decision) was made from and what it made, by SHA-256. Records are
canonical JSON; their ids are leaves of a Merkle log with signed heads (RFC 6962). A *sample set* is a sorted list of
sample ids with a Merkle root of its own, so that the presence of an image, or its absence, can be proven. Every index
here is derived from records and sets, and may be deleted.

Nothing here runs, decides or schedules anything, and no stage knows of it: `flows` writes records after a stage's
commit.
"""
