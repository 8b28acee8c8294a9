#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tables of files: how long postmap builds one, with how much memory, and how many questions a
second are answered, beside Debian's postmap in the same run. Prints a table with ratios.

  tables.py --build BUILD [--lines 1000000] [--rounds 3]

Rounds alternate between both servers; the median counts. Lookups: through the library (what a
service does, one thread and as many as there are processors) and through `postmap -q -`.
"""
import argparse
import multiprocessing
import os
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

FILES = {"lmdb": "lmdb", "cdb": "cdb", "hash": "db", "btree": "db"}
REFERENCE = "/usr/sbin/postmap"


def peak_kb(pid_usage):
    return pid_usage.ru_maxrss


def timed(argv, **options):
    """Seconds, processor seconds and KB at most."""
    start = time.monotonic()
    process = subprocess.Popen([str(a) for a in argv], **options)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{argv}: exit {process.returncode}")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, peak_kb(usage)


def make_source(path, keys, lines):
    rng = random.Random(1)
    names = [f"user{rng.randrange(10 ** 9)}@dom{rng.randrange(5000)}.example.test" for _ in range(lines)]
    path.write_text("".join(f"{name}\tOK id{i}\n" for i, name in enumerate(names)))
    rng.shuffle(names)
    keys.write_text("".join(f"{name}\n" for name in names))


def build_rounds(world, own, kind, rounds):
    found = {"own": [], "reference": []}
    for _ in range(rounds):
        for who, program in (("own", own), ("reference", REFERENCE)):
            for old in world.glob("m.*"):
                old.unlink()
            found[who].append(timed([program, "-c", world, f"{kind}:m"], cwd=world))
    return {who: [statistics.median(column) for column in zip(*rows)] for who, rows in found.items()}


def ask_rounds(world, build, own, kind, rounds, lines):
    found = {"library": [], "threads": [], "own": [], "reference": []}
    bench = build / "src/map/bench_table"
    cores = str(os.cpu_count())
    for _ in range(rounds):
        for column, threads in (("library", "1"), ("threads", cores)):
            out = subprocess.run([bench, world, f"{kind}:{world}/m", world / "keys", threads], check=True,
                                 capture_output=True, text=True).stdout.split()
            assert int(out[1]) == lines, out
            found[column].append(float(out[0]))
        for who, program in (("own", own), ("reference", REFERENCE)):
            with open(world / "keys", "rb") as keys:
                seconds = timed([program, "-c", world, "-q", "-", f"{kind}:m"], cwd=world, stdin=keys,
                                stdout=subprocess.DEVNULL)[0]
            found[who].append(lines / seconds)
    return {column: statistics.median(values) for column, values in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--lines", type=int, default=1000000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    build = pathlib.Path(args.build).resolve()
    own = build / "src/command/postmap"
    subprocess.run(["ninja", "-C", build, "--quiet", "src/map/bench_table", "src/command/postmap"], check=True)
    world = pathlib.Path(tempfile.mkdtemp(prefix="bench-tables-", dir="/var/tmp"))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        (world / "main.cf").write_text("compatibility_level = 3.6\n")
        # In a process of its own: what it needs would count as the peak of those started here.
        maker = multiprocessing.Process(target=make_source, args=(world / "m", world / "keys", args.lines))
        maker.start()
        maker.join()
        print(f"{args.lines} lines, median of {args.rounds}; ratio: how many times better Postern is\n")
        print("| type | build s | postfix | ratio | peak MB | postfix | file MB | postfix | lookups/s, library "
              "| all processors | postmap -q - | postfix | ratio |")
        print("| --- " * 13 + "|")
        for kind, suffix in FILES.items():
            built = build_rounds(world, own, kind, args.rounds)
            theirs = (world / f"m.{suffix}").stat().st_size / 1e6
            timed([own, "-c", world, f"{kind}:m"], cwd=world)
            mine = (world / f"m.{suffix}").stat().st_size / 1e6
            asked = ask_rounds(world, build, own, kind, args.rounds, args.lines)
            (a, _, ma), (b, _, mb) = built["own"], built["reference"]
            print(f"| {kind} | {a:.2f} | {b:.2f} | {b / a:.1f} | {ma / 1024:.0f} | {mb / 1024:.0f} | {mine:.0f} | "
                  f"{theirs:.0f} | {asked['library']:,.0f} | {asked['threads']:,.0f} | {asked['own']:,.0f} | "
                  f"{asked['reference']:,.0f} | {asked['own'] / asked['reference']:.1f} |", flush=True)
    finally:
        shutil.rmtree(world)


if __name__ == "__main__":
    main()
