# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition instead of for a time."""

import os
import time

# In a guest (tests/vm) the processor is emulated: everything takes longer.
SLOW = 4 if os.environ.get("BOTLS_VM") else 1


class Timeout(AssertionError):
    pass


class Hopeless(Exception):
    """Raised by a condition that will not become true any more."""


def wait_until(condition, deadline, what, interval=0.1):
    """Polls condition() until it is true and returns its value; Timeout after `deadline` seconds (times SLOW).

    An exception in the condition counts as "not yet" and is named in the Timeout.
    """
    deadline *= SLOW
    end = time.monotonic() + deadline
    while True:
        error = None
        try:
            value = condition()
            if value:
                return value
        except Hopeless:
            raise
        except Exception as e:  # a daemon that is not up yet answers in many ways
            value, error = None, e
        if time.monotonic() >= end:
            seen = f": {error!r}" if error is not None else f": last seen {value!r}"
            raise Timeout(f"not within {deadline} s: {what}{seen}") from error
        time.sleep(interval)


def hold_for(condition, duration, what, interval=0.1):
    """Asserts that condition() stays true for `duration` seconds: for what must not happen."""
    end = time.monotonic() + duration
    while time.monotonic() < end:
        assert condition(), f"no longer true: {what}"
        time.sleep(interval)
