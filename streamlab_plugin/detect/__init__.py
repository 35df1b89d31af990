"""Rules, windows, sketches: what is out of the ordinary. Pure."""
