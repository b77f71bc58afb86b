"""From a schedules file to a function on the platform: the zip, and what it takes to make one.

``package`` builds the zip; ``runtimes`` knows the platform's Pythons and what is pinned for each; ``wheels`` fetches
the dependencies and leaves out what never runs; ``sources`` gathers what is our own; ``bytecode`` compiles.
"""
