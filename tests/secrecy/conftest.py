from __future__ import annotations

import pytest

from tests.support.detector import log_everything


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All loggers at their most talkative."""
    log_everything(caplog)
    return caplog
