"""One file per stage: its parameters, its metrics, and a function of paths in, paths out."""
