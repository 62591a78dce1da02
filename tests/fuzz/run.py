# SPDX-License-Identifier: MIT
"""Builds the fuzzers and runs each for some time, two at a time: `make fuzz SECONDS=n`.

Each begins with its seeds (seeds/*.txt: one per line in hexadecimal digits, with a comment after #)
and ends with one line: runs, coverage, findings. The inputs of findings are left in
build/fuzz/findings. Fails if there is a finding. A fuzzer whose tool is missing is skipped, and a
line says so.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / "fuzz"
FINDINGS = BUILD / "findings"
AFL_ENVIRONMENT = {
    "AFL_NO_UI": "1",
    "AFL_NO_AFFINITY": "1",
    "AFL_SKIP_CPUFREQ": "1",
    "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1",
}


class MissingError(Exception):
    """The tool that a fuzzer needs, and how to install it."""


def build(name, **variables):
    command = [os.environ.get("MAKE", "make"), "-s", "-C", str(ROOT / "tests" / "fuzz"), name]
    command += [f"{key}={value}" for key, value in variables.items()]
    subprocess.run(command, check=True)


def need(program, package):
    if shutil.which(program) is None:
        raise MissingError(f"{program}: apt-get install {package}")


def need_libfuzzer():
    need("clang", "clang")
    command = ["clang", "-fsanitize=fuzzer,address", "-xc", "-", "-o", "/dev/null"]
    program = "int LLVMFuzzerTestOneInput(void) { return 0; }"
    if subprocess.run(command, input=program, text=True, capture_output=True).returncode:
        raise MissingError("libFuzzer: apt-get install libclang-rt-dev")


def plant(name, seeds):
    """A fresh corpus: one file for each seed, and an empty one."""
    folder = BUILD / "corpus" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lines = (ROOT / "tests" / "fuzz" / "seeds" / f"{seeds}.txt").read_text().splitlines()
    for number, line in enumerate(lines):
        if not line.startswith("#"):
            (folder / f"{number:03}").write_bytes(bytes.fromhex(line.partition("#")[0]))
    return folder


def run_libfuzzer(name, seeds, seconds, command, **environment):
    corpus = plant(name, seeds)
    found = FINDINGS / name
    command = [*command, "-max_len=300", "-timeout=20", f"-max_total_time={seconds}"]
    command += [f"-artifact_prefix={found}-", str(corpus)]
    log = BUILD / f"{name}.log"
    with open(log, "w") as output:
        result = subprocess.run(
            command, cwd=ROOT, stderr=output, stdout=output, env={**os.environ, **environment}
        )
    text = log.read_text(errors="replace")
    coverage = re.findall(r" cov: (\d+)", text)
    runs = re.findall(r"^(?:Done |#)(\d+)", text, re.MULTILINE)
    findings = len(list(FINDINGS.glob(f"{name}-*")))
    if result.returncode != 0:
        print("".join(text.splitlines(keepends=True)[-60:]))
        findings = max(findings, 1)
    return int(runs[-1]) if runs else 0, int(coverage[-1]) if coverage else 0, findings


def fuzz_operations(seconds):
    need_libfuzzer()
    build("operations")
    return run_libfuzzer("operations", "operations", seconds, [str(BUILD / "operations")])


def fuzz_operations_by_afl(seconds):
    need("afl-clang-fast", "afl++")
    build("operations-afl")
    corpus, output = plant("operations-afl", "operations"), BUILD / "afl"
    shutil.rmtree(output, ignore_errors=True)
    command = ["afl-fuzz", "-i", str(corpus), "-o", str(output), "-V", str(seconds)]
    command += ["-t", "20000", "--", str(BUILD / "operations-afl")]
    environment = {**os.environ, **AFL_ENVIRONMENT}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode != 0:
        print(result.stdout[-3000:], result.stderr[-3000:])
        return 0, 0, 1
    text = (output / "default" / "fuzzer_stats").read_text()
    stats = dict(re.findall(r"(\w+) +: (\d+)", text))
    for found in (output / "default").glob("*/id:*,sig:*"):
        shutil.copy(found, FINDINGS / f"operations-afl-{found.name}")
    findings = int(stats["saved_crashes"]) + int(stats["saved_hangs"])
    return int(stats["execs_done"]), int(stats["edges_found"]), findings


def fuzz_lua(seconds):
    need_libfuzzer()
    build("arguments-lua")
    return run_libfuzzer("arguments-lua", "lua", seconds, [str(BUILD / "arguments-lua")])


def find_atheris():
    """A Python with atheris, the library to preload, and the directory of that Python's headers."""
    question = (
        "import atheris, sysconfig; print(atheris.path()); print(sysconfig.get_path('include'))"
    )
    for python in (sys.executable, str(ROOT / "build" / "venv" / "bin" / "python")):
        if shutil.which(python) is None:
            continue
        answer = subprocess.run([python, "-c", question], capture_output=True, text=True)
        if answer.returncode == 0:
            where, include = answer.stdout.splitlines()[-2:]
            return python, pathlib.Path(where) / "asan_with_fuzzer.so", include
    raise MissingError("atheris: build/venv/bin/pip install atheris, on CPython 3.11 to 3.13")


def fuzz_python(seconds):
    need_libfuzzer()
    python, preloaded, include = find_atheris()
    build("arguments-python", PYTHON_INCLUDE=include)
    return run_libfuzzer(
        "arguments-python",
        "python",
        seconds,
        [python, str(ROOT / "tests" / "fuzz" / "arguments.py")],
        LD_PRELOAD=str(preloaded),
        ASAN_OPTIONS="detect_leaks=0",  # Python leaves memory allocated at its end
        PYTHONMALLOC="malloc",
        PYTHONPATH=str(BUILD / "python"),
    )


FUZZERS = {
    "operations by libFuzzer": fuzz_operations,
    "operations by AFL++": fuzz_operations_by_afl,
    "arguments in Lua": fuzz_lua,
    "arguments in Python": fuzz_python,
}


def report(name, seconds):
    try:
        runs, coverage, findings = FUZZERS[name](seconds)
    except MissingError as missing:
        return True, f"fuzz: {name}: skipped: missing {missing}"
    text = f"{runs} runs, {coverage} edges covered, {findings} findings"
    return findings == 0 and runs > 0, f"fuzz: {name}: {text}"


def main():
    seconds = int(sys.argv[1])
    shutil.rmtree(FINDINGS, ignore_errors=True)
    FINDINGS.mkdir(parents=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda name: report(name, seconds), FUZZERS))
    for _, line in results:
        print(line)
    sys.exit(not all(good for good, _ in results))


if __name__ == "__main__":
    main()
