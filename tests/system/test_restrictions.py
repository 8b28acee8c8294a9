# SPDX-License-Identifier: Apache-2.0
"""Every restriction: what it lets pass and what it refuses, word by word as the reference does."""
import collections

import pytest

import restriction_cases as table
from world.mta import Mta
from world.policy import PolicyServer
from world.session import matches

RESULTS = collections.defaultdict(lambda: [0, 0])


@pytest.fixture(scope="module")
def world(request, stage, name_server):
    """One server for the whole table."""
    name_server.clear()
    table.settle(name_server)
    policy = PolicyServer()
    policy.action = lambda attributes: table.POLICY_ACTIONS.get(attributes["recipient"].split("@")[0].partition("+")[2], "DUNNO")
    text, files = table.main_cf(policy.port)
    mta = Mta(request.config.getoption("--mta"), text, stage=stage)
    for name, lines in files.items():
        (mta.config / name).write_text(lines)
    mta.start()
    yield mta
    mta.stop()
    mta.remove()
    policy.close()


@pytest.mark.parametrize("case", table.CASES, ids=lambda c: f"{c.label}-{c.restriction}")
def test_restriction(world, case):
    RESULTS[case.restriction][1] += 1
    reply = case.play(world.port)
    assert matches(reply, case.expected), f"{case}: {reply!r} is not {case.expected!r}"
    for line in (case.log_line(), case.log):
        if line:
            world.log.wait(line, limit_s=5)
    RESULTS[case.restriction][0] += 1
