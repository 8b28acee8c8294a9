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
    if case.newer and world.kind == "reference":
        pytest.skip("the reference is older than this")
    RESULTS[case.restriction][1] += 1
    reply = case.play(world.port)
    assert matches(reply, case.expected), f"{case}: {reply!r} is not {case.expected!r}"
    for line in (case.log_line(), case.log):
        if line:
            world.log.wait(line, limit_s=5)
    RESULTS[case.restriction][0] += 1


@pytest.fixture(scope="module", autouse=True)
def summary(request):
    """At the end: what was played, and how much of it came out as expected."""
    yield
    kind = request.config.getoption("--mta")
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        reporter.write_line(f"\n{'restriction':45} {'cases':>5} {kind:>9}")
        for name, (good, played) in sorted(RESULTS.items()):
            reporter.write_line(f"{name[:45]:45} {played:5} {'as said' if good == played else f'{good} of {played}':>9}")
        good, played = (sum(column) for column in zip(*RESULTS.values())) if RESULTS else (0, 0)
        reporter.write_line(f"{'all':45} {played:5} {good:9}")
