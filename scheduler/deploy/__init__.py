"""From a schedules file to a function on the platform.

The zip: ``package`` builds it of our own files (``sources``) and the pinned dependencies (``runtimes``, ``wheels``,
written by ``lock``), changed so that a cold start imports little (``lean``, ``postponed``) and compiled (``bytecode``,
``erase``). The function: ``function`` plans the steps, ``functiongraph`` calls the platform, and ``deployed`` tells
what a change would leave behind.
"""
