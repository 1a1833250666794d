"""The library's errors in the words of the command line: what there is an argument is here an option."""

from __future__ import annotations

import re

_WORDS = (
    ("Pass api_key=, set", "Give --api-key-file, set"),
    ("the api_key argument", "--api-key-file"),
    (
        "Pass aiozilliz.GLOBAL, aiozilliz.CHINA or a URL such as",
        "Give --china, or --base-url with a URL such as",
    ),
    (
        "set base_url to the final address, aiozilliz.GLOBAL or aiozilliz.CHINA",
        "give the final address as --base-url",
    ),
    (
        "Use https:// in base_url, or a session without that proxy",
        "Use https:// in --base-url, or no such proxy",
    ),
    (
        "or give a session= whose connector trusts yours",
        "or name a file with yours in the environment variable SSL_CERT_FILE",
    ),
    ("is larger than max_response_bytes", "is larger than this command takes"),
    (", or raise max_response_bytes", ""),
    (
        "Give a longer deadline in retry=RetryPolicy(deadline=...), or ask less often",
        "Give a longer --timeout, or ask less often",
    ),
    ("give a longer timeout=", "give a longer --timeout"),
    ("can be read without verify only", "can be read without --verify only"),
    (", so clients whose keys are of one user should share one limiter", ""),
    ("(page_size)", "(--page-size)"),
    ("takes a page_size of", "takes a --page-size of"),
    ("more max_passes", "more --max-passes"),
    (", or make the accounts yourself", ""),
)
_BASE_URL = re.compile(r"(?<![\w./-])base_url(?! in )")


def for_options(text: str) -> str:
    """Give an error's text with options in the place of arguments."""
    for argument, option in _WORDS:
        text = text.replace(argument, option)
    return _BASE_URL.sub("--base-url", text)
