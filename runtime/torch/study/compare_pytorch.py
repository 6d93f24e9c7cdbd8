"""Compares the rates of scoring and training with plain PyTorch on the same machine.

    python runtime/torch/study/compare_pytorch.py DATA wrn-D-K [--images N] [--threads T]
        [--device cpu|cuda:0] [--batch N] [--only train|search]

DATA is a folder with `train/<class>/*` and `test/<class>/*`. Needs PyTorch 2.11, NumPy and Pillow
13, and `cargo build --release -p faa-torch --example rates`. For scoring, PyTorch's part is what
public implementations do: they apply Pillow's ops to one image after the other, five draws per
image, and classify BATCH images at a time in float32. For training, it runs forward and backward
passes, clipping and SGD with momentum, here without any augmentation. PyTorch's rate is that of its
fastest configuration: its own layout or channels last, each as it is (eager) or with
`torch.compile`, which needs a C++ compiler. All are printed.

First the script checks that both have the same network: PyTorch reads the weights that the Rust
program wrote, and logits are compared. Then everything is measured in turns, so that changes of the
machine's speed affect all alike, and medians are printed as rows of a Markdown table.
"""

import argparse
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
DRAWS = 5
LAYOUTS = {"own layout": torch.contiguous_format, "channels last": torch.channels_last}

# Function and range. Cutout is omitted, since it also draws a position.
OPS = [
    (ops.shear_x, -0.3, 0.3), (ops.shear_y, -0.3, 0.3),
    (ops.translate_x, -0.45, 0.45), (ops.translate_y, -0.45, 0.45), (ops.rotate, -30, 30),
    (ops.auto_contrast, 0, 1), (ops.invert, 0, 1), (ops.equalize, 0, 1), (ops.solarize, 0, 256),
    (ops.posterize, 4, 8), (ops.contrast, 0.1, 1.9), (ops.color, 0.1, 1.9),
    (ops.brightness, 0.1, 1.9), (ops.sharpness, 0.1, 1.9),
]


def main():
    options = arguments()
    data, model, batch = options.data, options.model, options.batch
    threads, device, stages = options.threads, options.device, options.only
    images = max(options.images, batch)
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        ours = lambda precision: run_ours(
            data, model, images, batch, device, precision, threads, folder)
        ours("float32")
        net = load(Path(folder), model).to(device)
        compare_logits(net, Path(folder), device)
        pictures = [Image.open(file).convert("RGB").copy() for file in files(data, images)]
        theirs = configurations(net, batch, device, stages)
        measured = {}
        for _ in range(ROUNDS):
            for precision in ["float32", "auto", "bf16"]:
                rates = ours(precision)
                measured.setdefault(("search", precision), []).append(rates["scoring_policy"])
                measured.setdefault(("train", precision), []).append(rates["train_base"])
            for name, (eval_net, train_step, layout) in theirs.items():
                if "search" in stages:
                    rate = search(eval_net, pictures, batch, device, layout)
                    measured.setdefault(("search", name), []).append(rate)
                if "train" in stages:
                    rate = train(train_step, batch, device)
                    measured.setdefault(("train", name), []).append(rate)
            measured.setdefault(("matmul", ""), []).append(matrix_product(device))
    rates = {key: statistics.median(all) for key, all in measured.items()}
    report(model, batch, device, threads, stages, list(theirs), rates)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("model")
    parser.add_argument("--images", type=int, default=1000, help="at least a batch is used")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--only", choices=["search", "train"])
    options = parser.parse_args()
    options.only = [options.only] if options.only else ["search", "train"]
    return options


def files(data, count):
    found = sorted((data / "train").glob("*/*"))
    random.Random(0).shuffle(found)
    return found[:count]


def run_ours(data, model, images, batch, device, precision, threads, folder):
    program = ROOT / "target/release/examples/rates"
    library = os.environ.get("LIBTORCH", str(ROOT / ".libtorch")) + "/lib"
    if device != "cpu":
        library = str(Path(torch.__file__).parent / "lib")
    arguments = [f"folder:{data}", model, images, batch, device, precision, threads, folder]
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


def configurations(net, batch, device, stages):
    """By name: the network in eval mode, a step of training, and the layout of images."""
    example = torch.randn(batch, 3, 32, 32, device=device)
    found = {}
    for layout_name, layout in LAYOUTS.items():
        eval_net = WideResNet(*shape_of(net)).to(device, memory_format=layout).eval()
        eval_net.load_state_dict(net.state_dict())
        step = training_step(net, batch, device, layout)
        found[f"{layout_name}, eager"] = eval_net, step(lambda net: net), layout
        compiled = torch.compile(eval_net), step(torch.compile), layout
        try:
            if "search" in stages:
                with torch.no_grad():
                    compiled[0](example.to(memory_format=layout))
            if "train" in stages:
                compiled[1]()
        except Exception as error:
            print(f"torch.compile does not work here: {error}", file=sys.stderr)
            continue
        found[f"{layout_name}, compiled"] = compiled
    return found


def training_step(net, batch, device, layout):
    """A function that builds a step of training, for a wrapper of the network."""
    def build(wrap):
        trained = WideResNet(*shape_of(net)).to(device, memory_format=layout).train()
        forward = wrap(trained)
        optimizer = torch.optim.SGD(
            trained.parameters(), 1e-12, 0.9, weight_decay=2e-4, nesterov=True)
        images = torch.randn(batch, 3, 32, 32, device=device).to(memory_format=layout)
        labels = torch.randint(10, (batch,), device=device)

        def step():
            optimizer.zero_grad()
            F.cross_entropy(forward(images), labels).backward()
            torch.nn.utils.clip_grad_norm_(trained.parameters(), 5.0)
            optimizer.step()
        return step
    return build


def search(net, pictures, batch, device, layout):
    draw = lambda: (random.choice(OPS), random.random(), random.random())
    policy = [[draw() for _ in range(2)] for _ in range(5)]
    # Whole batches, since a compiled network is compiled for one size.
    pictures = pictures[:len(pictures) // batch * batch] or pictures
    labels = torch.randint(10, (len(pictures),), device=device)
    started = time.perf_counter()
    with torch.no_grad():
        for _ in range(DRAWS):
            for first in range(0, len(pictures), batch):
                drawn = [augmented(one, policy) for one in pictures[first:first + batch]]
                logits = net(torch.stack(drawn).to(device, memory_format=layout))
                F.cross_entropy(logits, labels[first:first + batch], reduction="none").cpu()
    return DRAWS * len(pictures) / (time.perf_counter() - started)


def train(step, batch, device):
    steps = max(4, 1024 // batch)
    for turn in range(steps + 2):
        if turn == 2:
            synchronise(device)
            started = time.perf_counter()
        step()
    synchronise(device)
    return steps * batch / (time.perf_counter() - started)


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


def report(model, batch, device, threads, stages, theirs, rates):
    limit = rates["matmul", ""] / operations(model)
    print(f"{model}, batches of {batch}, {device}, {threads} threads; matrix product "
          f"{rates['matmul', '']:.0f} GFLOP/s, which is {limit:.0f} images/s of "
          f"{operations(model):.3f} GFLOP")
    columns = [f"PyTorch, {name}" for name in theirs] + ["float32", "auto", "bf16"]
    print("| stage | " + " | ".join(columns) + " |\n|---|" + "---:|" * len(columns))
    for stage in stages:
        peers = [rates[stage, name] for name in theirs]
        cells = [f"{rate:,.0f}" for rate in peers]
        for precision in ["float32", "auto", "bf16"]:
            rate = rates[stage, precision]
            cells.append(f"{rate:,.0f} ({rate / max(peers):.2f}x)")
        print(f"| {stage} | {' | '.join(cells)} |")
    part = rates["search", "float32"] / limit
    if "search" in stages:
        print(f"search in float32 is {100 * part:.0f} % of the matrix product's rate")


if __name__ == "__main__":
    main()
