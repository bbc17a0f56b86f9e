"""The path between noise and data, and the times at which it is visited.

The one convention of this project, stated here and nowhere else: **t = 1 is noise, t = 0 is data**.

    x_t = (1 - t) x_0 + t eps        eps ~ N(0, 1), t in [0, 1]
    v   = dx_t/dt = eps - x_0        what the network predicts

As in SD3, FLUX, diffusers and ERNIE-Image; some papers (Lipman et al. 2022, arXiv:2210.02747) run time the other way.
"""
