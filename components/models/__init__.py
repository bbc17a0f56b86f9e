"""Networks: the diffusion transformer, the autoencoder, the frozen text encoder, and the average of weights.

Nothing here knows how it is trained. Configurations are frozen dataclasses in `config`, which imports no torch.
"""
