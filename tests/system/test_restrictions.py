# SPDX-License-Identifier: Apache-2.0
"""Every restriction: what it lets pass and what it refuses, word by word, and the reference beside it in the same run."""
import collections
import contextlib
import pathlib

import pytest

import restriction_cases as table
from world.mta import REFERENCE_DAEMONS, Mta
from world.policy import PolicyServer
from world.session import matches

RESULTS = collections.defaultdict(collections.Counter)  # restriction -> played, and as expected, by server


@contextlib.contextmanager
def one_server(kind, stage, name_server):
    """One server for the whole table."""
    name_server.clear()
    table.settle(name_server)
    policy = PolicyServer()
    policy.action = lambda attributes: table.POLICY_ACTIONS.get(attributes["recipient"].split("@")[0].partition("+")[2], "DUNNO")
    text, files = table.main_cf(policy.port)
    mta = Mta(kind, text, stage=stage)
    for name, lines in files.items():
        (mta.config / name).write_text(lines)
    mta.start()
    try:
        yield mta
    finally:
        mta.stop()
        mta.remove()
        policy.close()


@pytest.fixture(scope="module")
def world(request, stage, name_server):
    with one_server(request.config.getoption("--mta"), stage, name_server) as mta:
        yield mta


@pytest.fixture(scope="module")
def reference(request, stage, name_server):
    if request.config.getoption("--mta") == "reference" or not pathlib.Path(REFERENCE_DAEMONS, "smtpd").exists():
        pytest.skip("no reference beside this server")
    with one_server("reference", stage, name_server) as mta:
        yield mta


def play(mta, case):
    if case.newer and mta.kind == "reference":
        pytest.skip("the reference is older than this")
    results = RESULTS[case.restriction]
    results[mta.kind, "played"] += 1
    reply = case.play(mta.port)
    assert matches(reply, case.expected), f"{case}: {reply!r} is not {case.expected!r}"
    for line in (case.log_line(), case.log):
        if line:
            mta.log.wait(line, limit_s=5)
    results[mta.kind, "good"] += 1


@pytest.mark.parametrize("case", table.CASES, ids=lambda c: f"{c.label}-{c.restriction}")
def test_restriction(world, case):
    play(world, case)


@pytest.mark.parametrize("case", table.CASES, ids=lambda c: f"{c.label}-{c.restriction}")
def test_reference_says_the_same(reference, case):
    play(reference, case)


def row(name, results):
    cells = [f"{name[:45]:45}"]
    for kind in ("postern", "reference"):
        good, played = results[kind, "good"], results[kind, "played"]
        cells.append(f"{'-' if not played else f'{good} of {played}':>12}")
    return " ".join(cells)


@pytest.fixture(scope="module", autouse=True)
def summary(request):
    """At the end: how many cases came out as expected."""
    yield
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        reporter.write_line(f"\n{'restriction (cases as expected)':45} {'Postern':>12} {'reference':>12}")
        for name in sorted(RESULTS):
            reporter.write_line(row(name, RESULTS[name]))
        reporter.write_line(row("all", sum(RESULTS.values(), collections.Counter())))
