"""Whether a client's ``repoUrl`` can be the address of a repository at all."""

import re

from pydantic_core import PydanticCustomError

_HOST = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+"
_NAME = r"[\w.~-]+"
_PATH = rf"{_NAME}(/{_NAME})+?(\.git)?/?"
_URL = re.compile(rf"(https?|ssh|git)://([^\s/@]+@)?{_HOST}(:\d{{1,5}})?/{_PATH}", re.IGNORECASE)
_SCP_LIKE = re.compile(rf"([\w.-]+@)?{_HOST}:(?!//){_PATH}", re.IGNORECASE)

URL_CHARACTERS_MAX = 500


def check_repository_url(url: str) -> str:
    """Gives the URL back, or raises when it has no host, owner and name; ``git@host:owner/name.git`` counts as one."""
    well_formed = len(url) <= URL_CHARACTERS_MAX and (_URL.fullmatch(url) or _SCP_LIKE.fullmatch(url))
    if not well_formed:
        raise PydanticCustomError("repository", "must be a repository's URL, with host, owner and name")
    return url
