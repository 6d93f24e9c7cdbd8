"""Writes the golden values that the Rust WideResNet and its training step are compared with.

Run once, in an environment with PyTorch 2.11 and NumPy; the Rust test reads the JSON and needs
no Python:

    python wrn_golden.py [OUT.json]          # default: wrn_golden.json beside this script

The file holds:

- the trainable parameters of four networks, for 10 classes;
- learning rates of the warm-up + cosine schedule;
- for WRN-10-1 and WRN-16-2, in float64: the logits in eval mode, two training steps on one batch
  (logits, loss, gradient norm before clipping, and after the step the norm, sum and first four
  elements of every tensor), and the logits in eval mode afterwards. In float64 it does not matter
  which kernels the processor gets: all agree to about 13 digits, and 13 are written;
- WRN-10-1 once more with a clip norm that both steps exceed, without the tensors: the ordinary
  clip norm of 5 is exceeded by no step above;
- the distance of PyTorch's own float32 from these values, up to the first step, with every kind of
  kernel that this processor has: channels first and last, oneDNN on and off, AVX2 and AVX-512
  (ONEDNN_MAX_CPU_ISA, ATEN_CPU_CAPABILITY), one thread and two; with these kernels also the
  distance of the logits of the network whose batch norm is folded, in float32, and in bf16
  relative to the largest logit. A test takes its tolerances from the largest of each.

No weights are stored. Both languages make them from an integer hash:

    mix(x)     z = x + 0x9E3779B97F4A7C15            all modulo 2^64; the first output of the
               z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9       SplitMix64 generator seeded with x
               z = (z ^ z >> 27) * 0x94D049BB133111EB
               z ^ z >> 31
    h(t, j)    mix(t * 2^32 + j)       tensor number t, element j in row-major order (OIHW, OI)
    u(t, j)    (h(t, j) >> 40) / 2^24  exact in float32

    a tensor whose name ends in               has the elements, in float64, rounded once to float32
    conv1|conv2|shortcut|stem|linear .weight  (u - 0.5) * ((2 * sqrt(3)) * sqrt(2 / fan_in))
    bn|bn1|bn2 .weight, .running_var          0.5 + u
    .bias, .running_mean                      (u - 0.5) * 0.2

fan_in is the number of inputs of one output: in_channels * kernel_height * kernel_width, or the
linear layer's in_features. t counts from 0 through this list:

    stem.weight
    for g = 1, 2, 3, for b = 0 .. blocks - 1, with the prefix group{g}.block{b}:
        bn1.weight  bn1.bias  bn1.running_mean  bn1.running_var   conv1.weight
        bn2.weight  bn2.bias  bn2.running_mean  bn2.running_var   conv2.weight
        shortcut.weight, where the block has one
    bn.weight  bn.bias  bn.running_mean  bn.running_var
    linear.weight  linear.bias

The images are bytes h(2^20, j) >> 56 with j in NHWC order, normalised in float32 one operation at
a time, (byte / 255 - mean) / std. The same four images serve both networks.
"""

import itertools
import json
import math
import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

CLASSES = 10
COUNTED = [(10, 1), (16, 2), (40, 2), (28, 10)]
STEPS = 2

LABELS = [3, 1, 7, 0]
IMAGE_TENSOR = 1 << 20  # Above every tensor number of a network, so that no stream is used twice.
IMAGE_SIDE = 32
MEAN = [0.4914, 0.4822, 0.4465]
STD = [0.2023, 0.1994, 0.2010]

PEAK_RATE = 0.1
MOMENTUM = 0.9
WEIGHT_DECAY = 2e-4
CLIP_NORM = 5.0

# Depth, width, clip norm, and whether the tensors are written.
CASES = [(10, 1, CLIP_NORM, True), (16, 2, CLIP_NORM, True), (10, 1, 0.5, False)]

# The variables that select float32 kernels. They are read once per process, so each combination has
# its own process.
INSTRUCTION_SETS = [
    {"ONEDNN_MAX_CPU_ISA": onednn, "ATEN_CPU_CAPABILITY": aten}
    for onednn, aten in itertools.product(["AVX2", "AVX512_CORE", "DEFAULT"], ["avx2", "avx512"])
]
LAYOUTS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}

STEPS_PER_EPOCH = 391  # 50,000 images in batches of 128, the last batch smaller.
WARMUP_STEPS = 5 * STEPS_PER_EPOCH
TOTAL_STEPS = 200 * STEPS_PER_EPOCH


def main():
    if sys.argv[1:] == ["--float32"]:
        print(json.dumps([float32_distances(*case) for case in CASES]))
        return
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("wrn_golden.json")
    assert int(mix(np.array([0], np.uint64))[0]) == 0xE220A8397B1DCDAF, "not SplitMix64"

    golden = {
        "about": "Golden values of the WideResNet; wrn_golden.py says what each one is.",
        "command": "python wrn_golden.py",
        "torch": torch.__version__,
        "processor": processor(),
        "parameter_counts": {f"WRN-{d}-{k}": parameter_count(d, k) for d, k in COUNTED},
        "images": {"first_bytes": image_bytes().flatten()[:8].tolist(), "labels": LABELS},
        "optimizer": {
            "rate": PEAK_RATE,
            "momentum": MOMENTUM,
            "nesterov": True,
            "weight_decay": WEIGHT_DECAY,
        },
        "schedule": schedule_points(),
        "cases": [case(*settings) for settings in CASES],
    }
    for variables in INSTRUCTION_SETS:
        measured = subprocess.run(
            [sys.executable, __file__, "--float32"],
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            check=True,
        )
        for written, distances in zip(golden["cases"], json.loads(measured.stdout)):
            for kernels, distance in distances.items():
                name = " ".join([*variables.values(), kernels])
                written["float32_distance"][name] = distance
    # One tensor per line, so that changes to the file make readable diffs.
    text = json.dumps(golden, separators=(",", ":"))
    for start in ('{"name"', '"float32_distance"', '"AVX', '"DEFAULT'):
        text = text.replace(start, "\n" + start)
    out.write_text(text + "\n")
    print(f"{out}: {len(text) + 1} bytes")


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    name, family, model = (fields[key] for key in ("model name", "cpu family", "model"))
    return f"{name}, family {family}, model {model}, {torch.backends.cpu.get_cpu_capability()}"


# The network: Zagoruyko & Komodakis 2016, section 2, as the public CIFAR codes build it.


class WideResNet(nn.Module):
    """WRN-depth-width for 3-channel images; the attribute names give the state-dict keys."""

    def __init__(self, depth, width):
        super().__init__()
        blocks, rest = divmod(depth - 4, 6)
        assert rest == 0, "the depth is 6n + 4"
        channels = [16, 16 * width, 32 * width, 64 * width]
        self.stem = conv3x3(3, channels[0])
        self.group1 = group(blocks, channels[0], channels[1], stride=1)
        self.group2 = group(blocks, channels[1], channels[2], stride=2)
        self.group3 = group(blocks, channels[2], channels[3], stride=2)
        self.bn = nn.BatchNorm2d(channels[3])
        self.linear = nn.Linear(channels[3], CLASSES)

    def forward(self, images):
        features = self.group3(self.group2(self.group1(self.stem(images))))
        return self.linear(F.relu(self.bn(features)).mean(dim=(2, 3)))


class Block(nn.Module):
    """Two 3x3 convolutions, each after its own batch norm and ReLU, around a skip connection."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv3x3(inputs, outputs, stride)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = conv3x3(outputs, outputs)
        same_shape = stride == 1 and inputs == outputs
        self.shortcut = None if same_shape else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        activated = F.relu(self.bn1(x))
        residual = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        # A skip that keeps the shape passes on the raw input, not the activated one: the identity
        # then reaches from the first block of a group to the last.
        return residual + (x if self.shortcut is None else self.shortcut(activated))


def group(blocks, inputs, outputs, stride):
    """The blocks of one resolution; only the first one strides and changes the channels."""
    first = Block(inputs, outputs, stride)
    others = [Block(outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(OrderedDict((f"block{b}", m) for b, m in enumerate([first, *others])))


def conv3x3(inputs, outputs, stride=1):
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def parameter_count(depth, width):
    with torch.device("meta"):  # Shapes alone: WRN-28-10 would fill 146 MB.
        return sum(p.numel() for p in WideResNet(depth, width).parameters())


# The values, as the docstring defines them.


def mix(x):
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def hashes(tensor, count):
    return mix(np.uint64(tensor << 32) + np.arange(count, dtype=np.uint64))


def fill(net):
    tensors = named_tensors(net)
    for index, (name, tensor) in enumerate(tensors.items()):
        u = (hashes(index, tensor.numel()) >> np.uint64(40)).astype(np.float64) / 2.0**24
        if tensor.dim() > 1:
            fan_in = tensor[0].numel()
            values = (u - 0.5) * ((2.0 * math.sqrt(3.0)) * math.sqrt(2.0 / fan_in))
        elif name.endswith((".weight", ".running_var")):
            values = 0.5 + u
        else:
            values = (u - 0.5) * 0.2
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(values.astype(np.float32)).view_as(tensor))


def named_tensors(net):
    """Parameters and running statistics in the documented order, which is the order of attributes.

    PyTorch's batch counter is left out: with a fixed momentum nothing reads it.
    """
    state = net.state_dict()
    return {name: t for name, t in state.items() if not name.endswith("num_batches_tracked")}


def image_bytes():
    shape = (len(LABELS), IMAGE_SIDE, IMAGE_SIDE, 3)
    return (hashes(IMAGE_TENSOR, math.prod(shape)) >> np.uint64(56)).astype(np.uint8).reshape(shape)


def images():
    # NumPy divides each element; a tensor library may multiply by a rounded reciprocal instead.
    scaled = image_bytes().astype(np.float32) / np.float32(255)
    normalised = (scaled - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return torch.from_numpy(normalised).permute(0, 3, 1, 2).contiguous()


# One case: the run in float64, and how far runs in float32 are from it.


def case(depth, width, clip_norm, with_tensors):
    double = trace(depth, width, clip_norm, torch.float64)
    written = {
        "depth": depth,
        "width": width,
        "clip_norm": clip_norm,
        "eval_logits_before": rounded(double["eval_logits_before"]),
        "steps": [
            {key: rounded(step[key]) for key in ("logits", "loss", "gradient_norm")}
            for step in double["steps"]
        ],
        "eval_logits_after": rounded(double["eval_logits_after"]),
        "float32_distance": {},
    }
    if with_tensors:
        written["tensors_before"] = summaries(double["tensors_before"])
        for step, traced in zip(written["steps"], double["steps"]):
            step["tensors"] = summaries(traced["tensors"])
    return written


def float32_distances(depth, width, clip_norm, _):
    """The largest distances of float32 to float64, for each kind of kernel of this process.

    Of the first step alone. Its gradient is not continuous: where rounding moves the input of a
    ReLU across zero, one of a million, the gradient jumps, and the second step starts elsewhere.
    """
    double = trace(depth, width, clip_norm, torch.float64)
    distances = {}
    for (layout, memory), onednn, threads in itertools.product(LAYOUTS.items(), (True, False), (1, 2)):
        torch.set_num_threads(threads)
        torch.backends.mkldnn.set_flags(onednn)
        single = trace(depth, width, clip_norm, torch.float32, memory)
        name = f"{layout}, oneDNN {'on' if onednn else 'off'}, {threads} thread(s)"
        a, b = single["steps"][0], double["steps"][0]
        distances[name] = {
            "eval_logits_before": largest_gap(single, double, "eval_logits_before"),
            "logits": largest_gap(a, b, "logits"),
            "loss": largest_gap(a, b, "loss"),
            "gradient_norm": largest_gap(a, b, "gradient_norm"),
            "tensors": largest_relative_gap(a["tensors"], b["tensors"]),
            **folded_distances(depth, width, memory, double["eval_logits_before"]),
        }
    return distances


def folded_distances(depth, width, memory, expected):
    net = WideResNet(depth, width)
    fill(net)
    net.eval().to(memory_format=memory)
    batch = images().to(memory_format=memory)
    gaps = {
        dtype: np.max(np.abs(array(folded_logits(net, batch, dtype)) - expected))
        for dtype in (torch.float32, torch.bfloat16)
    }
    return {
        "folded_logits": float(f"{gaps[torch.float32]:.2g}"),
        "folded_bf16_logits": float(f"{gaps[torch.bfloat16] / np.max(np.abs(expected)):.2g}"),
    }


@torch.no_grad()
def folded_logits(net, images, dtype):
    """Logits as `network/folded.rs` computes them: convolutions in `dtype`, the linear layer in float32.

    Batch norm after a convolution is part of its weights; the one before a block cannot be.
    """

    def scale_and_shift(bn):
        scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
        return scale, bn.bias - bn.running_mean * scale

    def activated(bn, x):
        scale, shift = (values.view(1, -1, 1, 1).to(dtype) for values in scale_and_shift(bn))
        return F.relu(torch.addcmul(shift, x, scale))

    def conv(x, weight, bias=None, stride=1):
        bias = None if bias is None else bias.to(dtype)
        return F.conv2d(x, weight.to(dtype), bias, stride, padding=weight.shape[2] // 2)

    x = conv(images.to(dtype), net.stem.weight)
    for block in (*net.group1, *net.group2, *net.group3):
        inputs, stride = activated(block.bn1, x), block.conv1.stride
        scale, shift = scale_and_shift(block.bn2)
        inner = F.relu(conv(inputs, block.conv1.weight * scale.view(-1, 1, 1, 1), shift, stride))
        skip = x if block.shortcut is None else conv(inputs, block.shortcut.weight, None, stride)
        x = skip + conv(inner, block.conv2.weight)
    return net.linear(activated(net.bn, x).float().mean(dim=(2, 3)))


def trace(depth, width, clip_norm, dtype, memory_format=torch.contiguous_format):
    """All that the golden file holds of one network, as float64 arrays of unrounded values."""
    net = WideResNet(depth, width)
    fill(net)  # Before the conversion: both precisions start from the same float32 values.
    net.to(dtype).to(memory_format=memory_format)
    batch, labels = images().to(dtype).to(memory_format=memory_format), torch.tensor(LABELS)
    optimizer = sgd(net)
    before, tensors_before = eval_logits(net, batch), snapshot(net)
    steps = [training_step(net, optimizer, batch, labels, clip_norm) for _ in range(STEPS)]
    return {
        "eval_logits_before": before,
        "tensors_before": tensors_before,
        "steps": steps,
        "eval_logits_after": eval_logits(net, batch),
    }


def training_step(net, optimizer, batch, labels, clip_norm):
    net.train()
    optimizer.zero_grad()
    logits = net(batch)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    # The norm is taken before the optimizer adds the weight decay, and after the backward pass.
    norm = nn.utils.clip_grad_norm_(net.parameters(), clip_norm)
    optimizer.step()
    return {
        "logits": array(logits),
        "loss": array(loss),
        "gradient_norm": array(norm),
        "tensors": snapshot(net),
    }


def sgd(net):
    """Weight decay holds for the convolutions and the whole linear layer, not for batch norm."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    without = [p for m in norms for p in m.parameters()]
    excluded = {id(p) for p in without}
    decayed = [p for p in net.parameters() if id(p) not in excluded]
    groups = [
        {"params": decayed, "weight_decay": WEIGHT_DECAY},
        {"params": without, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=PEAK_RATE, momentum=MOMENTUM, nesterov=True)


@torch.no_grad()
def eval_logits(net, batch):
    return array(net.eval()(batch))


def snapshot(net):
    return {name: array(tensor) for name, tensor in named_tensors(net).items()}


def array(tensor):
    return tensor.detach().to(torch.float64, copy=True).numpy()


def summaries(tensors):
    """A sum may cancel to almost nothing: compare it on the scale of norm * sqrt(count)."""
    return [
        {
            "name": name,
            "norm": rounded(np.sqrt(np.sum(values * values))),
            "sum": rounded(np.sum(values)),
            "first": rounded(values.flatten()[:4]),
        }
        for name, values in tensors.items()
    ]


def rounded(values):
    values = np.asarray(values)
    return float(f"{values:.13g}") if values.ndim == 0 else [rounded(v) for v in values]


def largest_gap(a, b, key):
    return float(f"{np.max(np.abs(a[key] - b[key])):.2g}")


def largest_relative_gap(a, b):
    """The largest over the tensors of |a - b| / |b|, in Euclidean norms."""
    gaps = [np.linalg.norm(a[name] - b[name]) / np.linalg.norm(b[name]) for name in b]
    return float(f"{max(gaps):.2g}")


# The learning rate, counted in steps from 0.


def learning_rate(step):
    """A linear ramp that reaches the peak with the last warm-up step, then half a cosine to 0.

    Goyal et al. 2017, section 2.2, ramp by a constant amount per step, here from peak / warm-up
    steps. The first step after the ramp has the peak once more; 0 would come with the step after
    the last.
    """
    if step < WARMUP_STEPS:
        return PEAK_RATE * (step + 1) / WARMUP_STEPS
    progress = (step - WARMUP_STEPS) / (TOTAL_STEPS - WARMUP_STEPS)
    return PEAK_RATE * 0.5 * (1.0 + math.cos(math.pi * progress))


def schedule_points():
    w, t, e = WARMUP_STEPS, TOTAL_STEPS, STEPS_PER_EPOCH
    sampled = [0, 1, 2, e - 1, e, 3 * e, w - 2, w - 1, w, w + 1, 10 * e, 25 * e, 50 * e, 75 * e]
    sampled += [100 * e, 125 * e, 150 * e, 199 * e, t - 2, t - 1]
    theirs = pytorch_rates()
    gaps = [abs(learning_rate(step) - theirs[step]) for step in range(t)]
    # PyTorch multiplies the rate from step to step, so it differs by accumulated rounding only.
    assert max(gaps) < 1e-10, max(gaps)
    return {
        "peak": PEAK_RATE,
        "warmup_steps": w,
        "total_steps": t,
        "largest_gap_to_pytorch": float(f"{max(gaps):.2g}"),
        "points": [[step, learning_rate(step)] for step in sampled],
    }


def pytorch_rates():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=PEAK_RATE)
    w = WARMUP_STEPS
    # total_iters is w - 1 because PyTorch's ramp has its start as step 0 and its end as the last.
    ramp = LinearLR(optimizer, start_factor=1 / w, end_factor=1.0, total_iters=w - 1)
    cosine = CosineAnnealingLR(optimizer, T_max=TOTAL_STEPS - w)
    scheduler = SequentialLR(optimizer, [ramp, cosine], milestones=[w])
    rates = []
    for _ in range(TOTAL_STEPS):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


if __name__ == "__main__":
    main()
