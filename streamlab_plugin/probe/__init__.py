"""Short, bounded questions to a target: is it there, does it speak the protocol, does it let us in?

Plain blocking sockets: a probe runs in a command of its own, without Locust and its event loop.
"""
