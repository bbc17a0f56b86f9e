"""Model directories with a card and hashes, and their versions in MLflow's registry. No torch, no pickle.

MLflow is imported only by `registration` (3 s); hashing, cards and looking up a directory do not need it.
"""
