"""Compares the rates of scoring and training with plain PyTorch on the same machine.

    python runtime/torch/study/compare_pytorch.py DATA wrn-D-K [IMAGES [THREADS [DEVICE]]]

DATA is a folder with `train/<class>/*` and `test/<class>/*`. Needs PyTorch 2.11, NumPy and Pillow
13, and `cargo build --release -p faa-torch --example rates`. PyTorch's part is what public
implementations do. For scoring, they apply Pillow's ops to one image after the other, five draws per
image, and classify 128 images at a time in float32, in eval mode and PyTorch's default layout. For
training, they run forward and backward passes, clipping and SGD with momentum, here without any
augmentation.

First the script checks that both have the same network: PyTorch reads the weights that the Rust
program wrote, and logits are compared. Then everything is measured in turns, so that changes of the
machine's speed affect all alike, and medians are printed as rows of a Markdown table.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
sys.path += [str(ROOT / "runtime/torch/tests/golden"), str(ROOT / "tests/oracle")]

import ops  # noqa: E402
from wrn_golden import WideResNet  # noqa: E402

ROUNDS = 3
BATCH = 128
DRAWS = 5

# Function and range. Cutout is omitted, since it also draws a position.
OPS = [
    (ops.shear_x, -0.3, 0.3), (ops.shear_y, -0.3, 0.3),
    (ops.translate_x, -0.45, 0.45), (ops.translate_y, -0.45, 0.45), (ops.rotate, -30, 30),
    (ops.auto_contrast, 0, 1), (ops.invert, 0, 1), (ops.equalize, 0, 1), (ops.solarize, 0, 256),
    (ops.posterize, 4, 8), (ops.contrast, 0.1, 1.9), (ops.color, 0.1, 1.9),
    (ops.brightness, 0.1, 1.9), (ops.sharpness, 0.1, 1.9),
]


def main():
    data, model = Path(sys.argv[1]), sys.argv[2]
    images = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    threads = int(sys.argv[4]) if len(sys.argv) > 4 else len(os.sched_getaffinity(0))
    device = sys.argv[5] if len(sys.argv) > 5 else "cpu"
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        ours = lambda precision: run_ours(data, model, images, device, precision, threads, folder)
        ours("float32")
        net = load(Path(folder), model).to(device)
        compare_logits(net, Path(folder), device)
        pictures = [Image.open(file).convert("RGB").copy() for file in files(data, images)]
        measured = {}
        for _ in range(ROUNDS):
            for precision in ["float32", "auto", "bf16"]:
                rates = ours(precision)
                measured.setdefault(("search", precision), []).append(rates["scoring_policy"])
                measured.setdefault(("train", precision), []).append(rates["train_base"])
            measured.setdefault(("search", "pytorch"), []).append(search(net, pictures, device))
            measured.setdefault(("train", "pytorch"), []).append(train(net, device))
            measured.setdefault(("matmul", ""), []).append(matrix_product(device))
    report(model, device, threads, {key: statistics.median(all) for key, all in measured.items()})


def files(data, count):
    found = sorted((data / "train").glob("*/*"))
    random.Random(0).shuffle(found)
    return found[:count]


def run_ours(data, model, images, device, precision, threads, folder):
    program = ROOT / "target/release/examples/rates"
    library = os.environ.get("LIBTORCH", str(ROOT / ".libtorch")) + "/lib"
    if device != "cpu":
        library = str(Path(torch.__file__).parent / "lib")
    arguments = [f"folder:{data}", model, images, BATCH, device, precision, threads, folder]
    output = subprocess.run(
        [program, *map(str, arguments)],
        env={**os.environ, "LD_LIBRARY_PATH": library}, check=True, stdout=subprocess.PIPE,
    )
    return json.loads(output.stdout)


def load(folder, model):
    """Reads the network that the Rust program wrote, as a PyTorch module."""
    depth, width = map(int, model.split("-")[1:])
    content = (folder / "network.safetensors").read_bytes()
    header = int.from_bytes(content[:8], "little")
    described, body = json.loads(content[8:8 + header]), content[8 + header:]
    net = WideResNet(depth, width)
    state = net.state_dict()
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        begin, end = described[name]["data_offsets"]
        values = np.frombuffer(body[begin:end], np.float32).reshape(described[name]["shape"])
        tensor.copy_(torch.from_numpy(values.copy()))
    return net.eval()


def compare_logits(net, folder, device):
    read = lambda name: torch.from_numpy(np.fromfile(folder / name, np.float32))
    images = read("images.f32").view(-1, 32, 32, 3).permute(0, 3, 1, 2).to(device)
    with torch.no_grad():
        expected = net(images).cpu()
    for precision in ["float32", "bf16"]:
        logits = read(f"logits-{precision}.f32").view_as(expected)
        worst = (logits - expected).abs().max().item()
        same = (logits.argmax(1) == expected.argmax(1)).float().mean().item()
        print(f"logits, {precision}: largest difference {worst:.1e} of a largest "
              f"{expected.abs().max().item():.2f}; same class {100 * same:.0f} %")
        if precision == "float32":
            assert worst < 1e-4, "the networks differ"


def augmented(picture, policy):
    for (op, low, high), probability, magnitude in random.choice(policy):
        if random.random() < probability:
            value = low + magnitude * (high - low)
            picture = op(picture, int(value) if op is ops.posterize else value, None, None)
    pixels = np.asarray(picture, np.uint8).copy()
    return torch.from_numpy(pixels).permute(2, 0, 1).float().div(255).sub(0.47).div(0.2)


def search(net, pictures, device):
    draw = lambda: (random.choice(OPS), random.random(), random.random())
    policy = [[draw() for _ in range(2)] for _ in range(5)]
    labels = torch.randint(10, (len(pictures),), device=device)
    started = time.perf_counter()
    with torch.no_grad():
        for _ in range(DRAWS):
            for first in range(0, len(pictures), BATCH):
                batch = [augmented(one, policy) for one in pictures[first:first + BATCH]]
                logits = net(torch.stack(batch).to(device))
                F.cross_entropy(logits, labels[first:first + BATCH], reduction="none").cpu()
    return DRAWS * len(pictures) / (time.perf_counter() - started)


def train(net, device, steps=6):
    net = WideResNet(*shape_of(net)).to(device).train()
    optimizer = torch.optim.SGD(net.parameters(), 1e-12, 0.9, weight_decay=2e-4, nesterov=True)
    images = torch.randn(BATCH, 3, 32, 32, device=device)
    labels = torch.randint(10, (BATCH,), device=device)
    for step in range(steps + 2):
        if step == 2:
            synchronise(device)
            started = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
    synchronise(device)
    return steps * BATCH / (time.perf_counter() - started)


def shape_of(net):
    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    three = [m for m in convolutions if m.kernel_size == (3, 3)]
    return len(three) + 3, three[-1].out_channels // 64


def synchronise(device):
    if device != "cpu":
        torch.cuda.synchronize()


def matrix_product(device, side=2048):
    """GFLOP/s of a product of two float32 matrices."""
    a, b = torch.randn(side, side, device=device), torch.randn(side, side, device=device)
    for turn in range(6):
        if turn == 1:
            synchronise(device)
            started = time.perf_counter()
        a @ b
    synchronise(device)
    return 5 * 2 * side ** 3 / (time.perf_counter() - started) / 1e9


def operations(model):
    """Multiplications and additions of a forward pass of one 32x32 image, in units of 1e9."""
    depth, width = map(int, model.split("-")[1:])
    counted = 0

    def count(module, inputs, output):
        nonlocal counted
        out = output.shape
        counted += 2 * module.weight.numel() * out[2] * out[3]

    net = WideResNet(depth, width)
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        net(torch.zeros(1, 3, 32, 32))
    return counted / 1e9


def report(model, device, threads, rates):
    limit = rates["matmul", ""] / operations(model)
    print(f"{model}, {device}, {threads} threads; matrix product {rates['matmul', '']:.0f} GFLOP/s, "
          f"which is {limit:.0f} images/s of {operations(model):.3f} GFLOP")
    print("| stage | PyTorch | ours, float32 | ours, auto | ours, bf16 |\n|---|---:|---:|---:|---:|")
    for stage in ["search", "train"]:
        peer = rates[stage, "pytorch"]
        ours = [rates[stage, precision] for precision in ["float32", "auto", "bf16"]]
        cells = " | ".join(f"{rate:,.0f} ({rate / peer:.2f}x)" for rate in ours)
        print(f"| {stage} | {peer:,.0f} | {cells} |")
    part = rates["search", "float32"] / limit
    print(f"search in float32 is {100 * part:.0f} % of the matrix product's rate")


if __name__ == "__main__":
    main()
