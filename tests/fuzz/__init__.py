"""Hostile input: what is thrown at every reader of bytes from outside, and what must hold whatever it is.

``inputs`` makes it, ``loopback`` serves it as answers of an API, ``targets`` says what must hold. The ordinary suite
tries a little of each; ``make fuzz`` a lot.
"""
