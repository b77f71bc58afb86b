"""What the function and the command line are told from outside: settings and credentials.

The environment and the platform's context come in as a lookup; nothing here reads them.
"""

from typing import Optional


class Credentials:
    """Access key, secret key and, for temporary ones, the security token. Never printed."""

    __slots__ = ("ak", "security_token", "sk")

    def __init__(self, ak: str, sk: str, security_token: Optional[str] = None) -> None:
        self.ak = ak
        self.sk = sk
        self.security_token = security_token

    def __repr__(self) -> str:
        return "Credentials(...)"
