"""Model directories with a card and hashes, their versions in MLflow's registry, and which is champion. No torch.

MLflow is imported only by `registration` and `promotion` (3 s); hashing, cards, the gate and looking up a directory do
not need it. Nothing is pickled.
"""
