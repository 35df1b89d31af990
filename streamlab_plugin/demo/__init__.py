"""The demo target: a small streaming backend that misbehaves on a schedule."""
