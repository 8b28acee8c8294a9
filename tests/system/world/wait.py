# SPDX-License-Identifier: Apache-2.0
"""Wait for an event, with a limit. Tests never sleep for luck."""
import time


def until(condition, what, limit_s=15.0, step_s=0.02):
    """Call condition() until it is true; return its value, or fail saying what was awaited."""
    deadline = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s:g} s: {what}")
        time.sleep(step_s)
