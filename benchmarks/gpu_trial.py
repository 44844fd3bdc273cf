"""One trial of ``gpu_slots``: a small model on the GPU, and what this process saw of the machine.

Without torch a stand-in on the CPU, so that the script can be tried anywhere. ``eat`` takes all
memory of the GPU there is, and more.
"""

import os
import time


def age() -> float:
    """Seconds since this process was made, be it by exec or by fork."""
    with open("/proc/self/stat") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


first_line = age()

import json  # noqa: E402

import autotune_trial  # noqa: E402

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]
    import numpy
    import sklearn.ensemble  # noqa: F401 (something that takes long to import)

imported = age()


def train_on_gpu(lr: float, width: int) -> float:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(512, width), torch.nn.ReLU(),
        torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, 10),
    ).to("cuda")  # fmt: skip
    x = torch.randn(20_000, 512, device="cuda")
    target = x[:, :10].argmax(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    accuracy = 0.0
    for epoch in range(10):
        for start in range(0, len(x), 500):
            loss = torch.nn.functional.cross_entropy(
                net(x[start : start + 500]), target[start : start + 500]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        accuracy = (net(x).argmax(1) == target).float().mean().item()
        autotune_trial.report(accuracy, step=epoch)
    return accuracy


def train_here(lr: float, width: int) -> float:
    x = numpy.random.default_rng(0).normal(size=(2_000, 128))
    weights = numpy.zeros(128)
    target = x @ numpy.linspace(-1, 1, 128)
    for epoch in range(5):
        for _ in range(20):
            weights -= lr * x.T @ (x @ weights - target) / len(x)
        autotune_trial.report(float(-numpy.abs(x @ weights - target).mean()), step=epoch)
    time.sleep(0.5 + width / 8192)
    return float(-numpy.abs(x @ weights - target).mean())


def main() -> None:
    parameters = autotune_trial.get_parameters({"lr": 0.1, "width": 1024})
    rank = int(os.environ.get("RANK", "0"))
    seen: list[str] = []
    if torch is not None and torch.cuda.is_available():
        devices = range(torch.cuda.device_count())
        uuids = [str(torch.cuda.get_device_properties(each).uuid) for each in devices]
        seen = [f"GPU-{uuid.removeprefix('GPU-')}" for uuid in uuids]
    what = {
        "rank": rank,
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "seen": seen,
        "first_line": first_line,
        "imported": imported,
    }
    print("SAW", json.dumps(what), flush=True)
    if rank:  # a replica that asked for no GPU
        return
    if parameters.get("eat"):
        if torch is None or not seen:
            raise RuntimeError("CUDA out of memory. Tried to allocate 9.00 TiB (a stand-in)")
        kept = [torch.empty(1 << 32, dtype=torch.uint8, device="cuda") for _ in range(1000)]
        print(len(kept))
    if torch is not None and not seen:
        raise RuntimeError("torch sees no GPU")
    begun = time.monotonic()
    train = train_on_gpu if seen else train_here
    value = train(float(parameters["lr"]), int(parameters["width"]))
    if seen:
        what["peak_mib"] = torch.cuda.max_memory_allocated() >> 20
    print("TRAINED", json.dumps({"seconds": time.monotonic() - begun, **what}), flush=True)
    autotune_trial.report_final(value)


main()
