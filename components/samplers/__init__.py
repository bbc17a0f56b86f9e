"""From noise to data along a velocity: one function per algorithm. The network is only a callable here."""
