"""How the networks are trained: loops, batches, logging. The only component that knows Lightning."""
