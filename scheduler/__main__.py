"""``python -m scheduler``: the same as ``cce-scheduler``."""

from scheduler.cli import main

if __name__ == "__main__":
    main()
