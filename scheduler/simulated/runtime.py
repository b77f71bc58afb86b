"""The platform's side of a function's process: what runs before, around and after the function's code.

``platform`` starts this file by its path, in any CPython or PyPy from 3.9, isolated and without ``site``. So it
imports nothing of this package and little else, not even ``typing``: what it costs is counted as the function's.
"""

import json
import os
import sys
import time
from importlib.machinery import ModuleSpec, SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

_MOST_ANSWER = 6 * 1024 * 1024


class Logger:
    """What `Context.getLogger` returns: each line goes out at once, so that a killed run has logged too."""

    def __init__(self, path: str) -> None:
        self._stream = open(path, "a", encoding="utf-8")  # noqa: SIM115, PTH123 - open until the process ends

    def debug(self, message: object) -> None:
        """Log for the curious."""
        self._write("DEBUG", message)

    def info(self, message: object) -> None:
        """Log."""
        self._write("INFO", message)

    def warning(self, message: object) -> None:
        """Log what may be wrong."""
        self._write("WARN", message)

    def error(self, message: object) -> None:
        """Log what is wrong."""
        self._write("ERROR", message)

    warn = warning

    def _write(self, level: str, message: object) -> None:
        self._stream.write(json.dumps([level, str(message)]) + "\n")
        self._stream.flush()


class Context:
    """What a function is handed: only the methods that every build of the platform has, with their arguments."""

    def __init__(self, facts: "Dict[str, Any]") -> None:
        self._facts = facts
        self._logger = Logger(facts["log"])

    def getUserData(self, key: str) -> "Optional[str]":  # noqa: N802 - the platform's names, here and below
        """Return a setting of the function; some builds take no default."""
        value: "Optional[str]" = self._facts["user_data"].get(key)
        return value

    def getSecurityAccessKey(self) -> str:  # noqa: N802
        """Return the agency's access key."""
        return str(self._facts["keys"][0])

    def getSecuritySecretKey(self) -> str:  # noqa: N802
        """Return the agency's secret key."""
        return str(self._facts["keys"][1])

    def getSecurityToken(self) -> str:  # noqa: N802
        """Return the agency's token."""
        return str(self._facts["keys"][2])

    def getRequestID(self) -> str:  # noqa: N802
        """Return the id of this invocation."""
        return str(self._facts["request_id"])

    def getLogger(self) -> Logger:  # noqa: N802
        """Return what writes to the function's log."""
        return self._logger


def main() -> None:
    """Do what the platform asks for on stdin, and write what came of it where it says."""
    asked = json.load(sys.stdin)
    root = os.environ["RUNTIME_CODE_ROOT"]
    sys.path.insert(0, root)
    if asked["bundled"]:
        sys.path.append(asked["bundled"])
    if os.access(root, os.W_OK):  # a superuser may write where the platform's user may not
        sys.dont_write_bytecode = True
    answer: "Dict[str, Any]" = {}
    text = ""
    begun = loaded = time.process_time()
    try:
        call = _load(root, os.environ["RUNTIME_HANDLER"])
        loaded = time.process_time()
        result = call(asked["event"], Context(asked))
        text = "" if result is None else json.dumps(result)
        if len(text) > _MOST_ANSWER:
            raise ValueError(f"the result has {len(text)} bytes, more than {_MOST_ANSWER}")  # noqa: TRY301 - as theirs
    except BaseException as e:  # noqa: BLE001 - whatever the function does is its result
        import traceback

        answer["error"] = [type(e).__name__, str(e), traceback.format_exc()]
        text = ""
    answer["load_cpu_s"] = loaded - begun
    answer["run_cpu_s"] = time.process_time() - loaded
    answer["modules"] = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    answer["peak_memory"] = _peak_memory()
    with open(asked["answer"], "w", encoding="utf-8") as stream:  # noqa: PTH123 - pathlib is not free
        stream.write(text)  # as it is: to quote it once more would be counted as the function's
        stream.write("\n")
        stream.write(json.dumps(answer))  # `dump` would write it piece by piece, in Python
    sys.exit(1 if "error" in answer else 0)


def _load(root: str, handler: str) -> "Any":
    """Return the function that ``index.handler`` names: the file is loaded by its path, outside of any package."""
    path, _, name = handler.rpartition(".")
    file = f"{root}/{path.replace('.', '/')}.py"
    loader = SourceFileLoader(path.rpartition("/")[2], file)
    module = type(sys)(loader.name)
    module.__spec__ = ModuleSpec(loader.name, loader, origin=file)
    module.__file__, module.__package__ = file, ""
    loader.exec_module(module)
    return getattr(module, name)


def _peak_memory() -> int:
    """Return the most bytes that this process had; not what it had before it became this program."""
    try:
        with open("/proc/self/status", encoding="utf-8") as stream:  # noqa: PTH123
            lines: "List[str]" = [line for line in stream if line.startswith("VmHWM:")]
        return int(lines[0].split()[1]) * 1024
    except (OSError, IndexError, ValueError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
