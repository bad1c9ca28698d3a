"""Round-trips models with tests/tools/roundtrip and compares what onnxruntime makes of both files.

    pip install onnx onnxruntime numpy
    python roundtrip_with_onnxruntime.py ROUNDTRIP FOLDER [--opset N] [--external NAME]

FOLDER is searched for *.onnx and *.ort and must be writable (external data is looked for beside the model, so the copy is put there too).
Inputs are those of test_data_set_* beside the model, else seeded. Without --opset outputs must be equal, with it within 2e-5.
Prints every file that is not the same, and counts: same_run, same_load (no input could be made), same_fail (both fail alike),
refused (with what onnxruntime does), cannot_upgrade, only_copy_loads, DIFFERS, COPY_FAILS, CRASH, HANG.
"""

import collections
import multiprocessing
import pathlib
import queue
import subprocess
import sys

import numpy as np

ROUNDTRIP, FOLDER, OPTIONS = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
TOLERANCE = 2e-5 if "--opset" in OPTIONS else 0
LIMIT_S = 180
TYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16, "tensor(int64)": np.int64,
    "tensor(int32)": np.int32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(bool)": np.bool_,
    "tensor(int16)": np.int16, "tensor(uint16)": np.uint16, "tensor(uint32)": np.uint32, "tensor(uint64)": np.uint64,
}  # fmt: skip
QUIET = {"same_run", "same_load", "same_fail"}


def stored_inputs(path):
    import onnx

    for folder in sorted(path.parent.glob("test_data_set_*")):
        yield [
            onnx.numpy_helper.to_array(onnx.load_tensor(str(folder / f"input_{i}.pb")))
            for i in range(len(list(folder.glob("input_*.pb"))))
        ]


def feeds(session, path):
    inputs = session.get_inputs()
    try:
        stored = [dict(zip([i.name for i in inputs], values)) for values in stored_inputs(path) if len(values) == len(inputs)]
    except Exception:
        stored = []
    if stored:
        return stored
    rng = np.random.RandomState(7)
    feed = {}
    for i in inputs:
        dtype = TYPES.get(i.type)
        shape = [d if isinstance(d, int) and d >= 0 else 2 for d in (i.shape or [])]
        if dtype is None or np.prod(shape) > 3e7:
            return []
        feed[i.name] = (rng.rand(*shape) if np.issubdtype(dtype, np.floating) else rng.randint(0, 2, shape)) * np.ones(shape)
        feed[i.name] = np.asarray(feed[i.name]).astype(dtype)
    return [feed]


def is_same(a, b):
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(is_same(x, y) for x, y in zip(a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(is_same(a[k], b[k]) for k in a)
    if not isinstance(a, np.ndarray):
        return a == b
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if TOLERANCE and a.dtype.kind == "f":
        largest = float(np.nanmax(np.abs(np.where(np.isfinite(a), a, 0)))) if a.size else 1
        return np.allclose(a.astype(float), b.astype(float), rtol=TOLERANCE, atol=TOLERANCE * max(1e-3, largest), equal_nan=True)
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))


def attempt(action):
    try:
        return action(), ""
    except Exception as error:
        return None, str(error)[:200]


def verdict(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if TOLERANCE or path.suffix == ".ort":  # .ort files are run as they stand
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    copy = path.parent / f"copy_of_{path.name.removesuffix('.onnx')}.onnx"
    try:
        tool = subprocess.run([ROUNDTRIP, path, copy, *OPTIONS], capture_output=True, text=True, timeout=60)
        before, error_before = attempt(lambda: onnxruntime.InferenceSession(str(path), options))
        if tool.returncode == 3:
            return f"refused, onnxruntime {'loads' if before else 'refuses too'}", tool.stderr.strip()
        if tool.returncode != 0:
            return ("cannot_upgrade" if tool.returncode == 4 else "CRASH"), tool.stderr.strip()
        after, error_after = attempt(lambda: onnxruntime.InferenceSession(str(copy), options))
        if before is None or after is None:
            return (
                ("same_fail", "")
                if before is after
                else ("COPY_FAILS" if before else "only_copy_loads", error_after or error_before)
            )
        found = "same_load"
        for feed in feeds(before, path):
            expected, error_before = attempt(lambda: before.run(None, feed))
            outputs, error_after = attempt(lambda: after.run(None, feed))
            if expected is None or outputs is None:
                if expected is not outputs:
                    return "DIFFERS", error_before + error_after
                found = "same_fail"
            elif not is_same(expected, outputs):
                return ("random" if not is_same(expected, before.run(None, feed)) else "DIFFERS"), ""
            else:
                found = "same_run"
        return found, ""
    except subprocess.TimeoutExpired:
        return "HANG", ""
    finally:
        copy.unlink(missing_ok=True)


def work(todo, done):
    for path in iter(todo.get, None):
        done.put(verdict(path))


def main():
    counts = collections.Counter()
    todo, done = multiprocessing.Queue(), multiprocessing.Queue()
    worker = None
    for path in sorted([*FOLDER.rglob("*.onnx"), *FOLDER.rglob("*.ort")]):
        if worker is None or not worker.is_alive():  # onnxruntime itself crashes on some of its own test models
            worker = multiprocessing.Process(target=work, args=(todo, done))
            worker.start()
        todo.put(path)
        found = None
        for _ in range(LIMIT_S):
            try:
                found = done.get(timeout=1)
                break
            except queue.Empty:
                if not worker.is_alive():
                    break
        if found is None:
            worker.kill()
            worker.join()
            found = ("onnxruntime died", "")
        counts[found[0]] += 1
        if found[0] not in QUIET:
            print(*found, path, flush=True)
    todo.put(None)
    print(dict(counts))


main()
