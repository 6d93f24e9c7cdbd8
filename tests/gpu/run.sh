#!/usr/bin/env bash
# Tries faa-runtime on an NVIDIA GPU, with the programs and images that lie beside this script.
# `./run.sh` says how.
set -euo pipefail

usage() {
    cat <<'END'
usage: ./run.sh check | rates | search | train | report | all

  check   the GPU against the CPU: logits, a gradient, short trainings, two backends in parallel
  rates   images per second in training and in judging, and the share of augmentation in them
  search  a search with the preset cifar10-reduced, whole but for its final trainings
  train   WRN-40-2 for 200 epochs with Cutout only, with the found policy, without either, with
          TrivialAugment and with a random policy, in this order
  report  summary.txt, from what there is; every other call ends with it, too
  all     everything, in this order

A call works for BUDGET seconds at most. It exits with 75 where something is left to do, and the
same call then goes on there; with 1 where something failed; with 0 when all is done:

  status=75; while [ $status = 75 ]; do status=0; ./run.sh all || status=$?; done

Options are variables of the environment; paths are taken from the folder of this script:

  DEVICE    the GPU [cuda:0]
  OUT       where everything is written [results]
  BUDGET    seconds that a call may take [540]; an epoch must fit in
  SEED      of every random choice [0]
  JOBS      folds side by side [5]
  THREADS   CPU threads [all]
  POLICY    the policy that `train` uses: a file of sub-policies, no sampler's [that of `search`]
  DATA      the images [those that were packed]
  PYTHON    a Python that has PyTorch 2.11 [python3]
  LIBTORCH  a libtorch 2.11.0, in place of PyTorch's
  TINY      1 for a dry run: on the CPU, a small network, minutes in all [0]; writes to dry-run
END
}

die() {
    echo "run.sh: $*" >&2
    exit 1
}

# Everything that `TINY` changes.
settings() {
    TINY=${TINY:-0} SEED=${SEED:-0} BUDGET=${BUDGET:-540} PYTHON=${PYTHON:-python3}
    THREADS=${THREADS:-$(nproc)}
    if [[ $TINY = 1 ]]; then
        DEVICE=${DEVICE:-cpu} OUT=${OUT:-dry-run} JOBS=${JOBS:-1}
        model=wrn-10-1 check_images=200 check_epochs=2 rate_images=200
        measured=("64 float32")
        search_options=(--model wrn-10-1 --images 200 --folds 2 --epochs 2 --warmup-epochs 1
            --batch 32 --rounds 1 --trials 3 --top-n 2)
        training=(--model wrn-10-1 --epochs 2 --warmup-epochs 1 --batch 64 --learning-rate 0.05)
    else
        DEVICE=${DEVICE:-cuda:0} OUT=${OUT:-results} JOBS=${JOBS:-5}
        model=wrn-40-2 check_images=2000 check_epochs=4 rate_images=20000
        measured=("128 auto" "512 auto" "512 float32")
        search_options=()
        training=(--model wrn-40-2 --epochs 200 --batch 512 --learning-rate 0.4)
    fi
    [[ -r pack.txt ]] || die "there is no pack.txt: cargo xtask gpu-pack makes the folder to run this in"
    DATA=${DATA:-tar:$(sed -n 's/^data: //p' pack.txt)}
    means=(--device "$DEVICE" --threads "$THREADS" --seed "$SEED")
    mkdir -p "$OUT/logs" "$OUT/done"

    # What a step has done is not done again, so a folder belongs to one choice of settings.
    local chosen="TINY=$TINY DEVICE=$DEVICE SEED=$SEED DATA=$DATA"
    [[ -e $OUT/settings.txt ]] || echo "$chosen" >"$OUT/settings.txt"
    [[ $(<"$OUT/settings.txt") = "$chosen" ]] ||
        die "$OUT was begun with $(<"$OUT/settings.txt"), and this is $chosen: choose another OUT"
}

# The libtorch of PyTorch, for `faa-runtime` through LIBTORCH, and for the other programs through
# the path of libraries.
find_libtorch() {
    # Python looks for modules where it is started, too.
    local ask='import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])'
    LIBTORCH=${LIBTORCH:-$(cd / && "$PYTHON" -c "$ask" 2>/dev/null)} ||
        die "$PYTHON has no PyTorch: set PYTHON, or LIBTORCH"
    LIBTORCH=$(cd "$LIBTORCH" && pwd)
    export LIBTORCH LD_LIBRARY_PATH=$LIBTORCH/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    # It checks the version, and starts its sibling.
    bin/faa-runtime doctor >"$OUT/logs/doctor.txt" 2>&1 ||
        { cat "$OUT/logs/doctor.txt" >&2 && die "faa-runtime cannot work here"; }
}

# Writes down what the machine is, once for every GPU that is met.
describe_machine() {
    local gpu versions
    gpu=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null |
        paste -sd';') || gpu=
    gpu="GPU: ${gpu:-none}"
    echo "# $(date -u +%FT%TZ), $gpu" >>"$OUT/log.txt"
    grep -qsxF "$gpu" "$OUT/environment.txt" && return
    versions='import torch as t; print("PyTorch", t.__version__, "CUDA", t.version.cuda, "cuDNN",
        t.backends.cudnn.version())'
    {
        echo "$gpu"
        date -u +%FT%TZ
        cat pack.txt
        echo "CPU: $(sed -n '/^model name/{s/.*: //p;q}' /proc/cpuinfo), $(nproc) threads"
        "$PYTHON" -c "$versions" 2>/dev/null || echo "no PyTorch in $PYTHON"
        cat "$OUT/logs/doctor.txt"
        nvidia-smi 2>/dev/null || true
        echo
    } >>"$OUT/environment.txt"
}

# Leaves what is left to the next call.
again() {
    echo "run.sh: the $BUDGET seconds are over; the same call goes on" >&2
    exit 75
}

# `step NAME KIND COMMAND…` runs a command, unless it was done before. One of the kind `resumes`
# goes on where it was ended; one of the kind `once` begins again, and so has to fit into one call.
# Fails where a command of the kind `once` did.
step() {
    local name=$1 kind=$2 left started took status=0
    shift 2
    if [[ -e $OUT/done/$name ]]; then
        status=$(<"$OUT/done/$name")
        # `all` goes on after a failure, and does not come back to it.
        if [[ $status = 0 || $stage = all ]]; then
            return "$status"
        fi
        status=0
    fi
    left=$((BUDGET - SECONDS))
    # Too little would be spent on starting.
    if ((left * 10 < BUDGET)); then
        again
    fi
    if [[ $kind = once ]]; then
        rm -f "$OUT/logs/$name.txt"
    fi
    echo "== $name: $*"
    started=$(date +%s%N)
    # In the foreground, so that the program is told to end once, and not once more with its group:
    # told twice, it ends at once.
    timeout --foreground --signal=INT --kill-after=30 "$left" "$@" </dev/null 2>&1 |
        tee -a "$OUT/logs/$name.txt" || status=${PIPESTATUS[0]}
    took=$((($(date +%s%N) - started) / 1000000))
    printf '%s\t%s\t%s\t%d.%03d\t%s\n' "$(date -u +%FT%TZ)" "$name" "$status" \
        $((took / 1000)) $((took % 1000)) "$*" >>"$OUT/log.txt"
    if ((status != 0 && took >= left * 1000)); then
        if [[ $kind = once ]] && ((left * 10 >= BUDGET * 9)); then
            die "$name does not fit into $BUDGET seconds: raise BUDGET"
        fi
        again
    fi
    if ((status != 0)) && [[ $kind = resumes ]]; then
        die "$name ended with $status; $OUT/logs/$name.txt says why"
    fi
    echo "$status" >"$OUT/done/$name"
    return "$status"
}

check() {
    step check once bin/device_check "$DATA" "$model" "$check_images" \
        "$check_epochs" "$DEVICE" "$THREADS" || failed=1
}

rates() {
    local pair batch precision
    for pair in "${measured[@]}"; do
        read -r batch precision <<<"$pair"
        step "rates-$batch-$precision" once bin/rates "$DATA" "$model" "$rate_images" "$batch" \
            "$DEVICE" "$precision" "$THREADS" "$OUT/rates/$batch-$precision" || failed=1
        step "shares-$batch-$precision" once bin/shares "$DATA" "$model" "$rate_images" "$batch" \
            "$DEVICE" "$precision" "$THREADS" || failed=1
    done
}

search() {
    # Its final trainings are those of `train`, at another batch size.
    step search resumes bin/faa-runtime search --data "$DATA" --preset cifar10-reduced \
        "${search_options[@]}" "${means[@]}" --jobs "$JOBS" --no-final-trainings --out "$OUT/search"
}

train() {
    local policy=${POLICY:-$OUT/search/policy.json} count
    # What is wrong with one that was named is told before hours of work.
    if [[ -n ${POLICY:-} ]]; then
        count=$(sub_policies_of "$policy")
    fi
    train_with cutout --policy none
    count=$(sub_policies_of "$policy")
    train_with policy --policy "$policy"
    train_with none --policy none --cutout 0
    train_with trivialaugment --policy trivialaugment-wide
    # Of the found policy's size.
    train_with random --policy "random:$count"
}

# How many there are in the file of a policy.
sub_policies_of() {
    local count='import json, sys; print(len(json.load(open(sys.argv[1]))["sub_policies"]))'
    [[ -r $1 ]] || die "there is no $1: ./run.sh search finds one, or POLICY names one"
    "$PYTHON" -c "$count" "$1" 2>/dev/null ||
        die "POLICY must be a file of sub-policies, as a search finds them, and $1 is none"
}

train_with() {
    local name=$1
    shift
    step "train-$name" resumes bin/faa-runtime train --data "$DATA" "$@" "${training[@]}" \
        "${means[@]}" --out "$OUT/train/$name"
}

# Rows for runtime/torch/RESULTS.md, from what there is.
report() {
    "$PYTHON" - "$OUT" "$DEVICE" "$SEED" >"$OUT/summary.txt" <<'END'
import json
import sys
from pathlib import Path

out, device, seed = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
PAPER = {"cutout": "4.1 %", "policy": "3.6 % (3.7 % where searched on all images)", "none": "5.3 %"}
NAMES = {
    "cutout": "Cutout only", "policy": "the found policy", "none": "no policy",
    "trivialaugment": "TrivialAugment", "random": "a random policy",
}


def lines(file):
    return file.read_text().splitlines() if file.exists() else []


def log():
    """Seconds and the last command of every step."""
    steps = {}
    for line in lines(out / "log.txt"):
        if line.startswith("#"):
            continue
        _, step, status, seconds, command = line.split("\t")
        before = steps.get(step, (0, "", ""))[0]
        steps[step] = (before + float(seconds), status, command)
    return steps


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def told(step, figure, ours, paper="–"):
    seconds, _, command = steps.get(step, (0, "", "–"))
    row(figure, ours, paper, f"`{command}`", device, seed, f"{seconds:,.0f} s")


def check():
    log = lines(out / "logs/check.txt")
    differ = [line for line in log if line.startswith("DIFFERS")]
    same = sum(line.startswith("ok ") for line in log)
    told("check", "device against CPU", f"{same} comparisons hold, {len(differ)} do not")
    return differ


def rates(step):
    for line in lines(out / f"logs/{step}.txt"):
        if line.startswith("{"):
            measured = json.loads(line)
            for given in ["model", "images", "batch", "device", "precision", "threads"]:
                measured.pop(given, None)
            for name, number in measured.items():
                share = name.startswith("augmentation_of") or name == "judging_of_network"
                ours = f"{100 * number:.1f} %" if share else f"{number:,.0f} images/s"
                told(step, f"{step}: {name}", ours)


def search():
    policy = out / "search/policy.json"
    errors = [json.loads(file.read_text())["error"]
              for file in sorted(out.glob("search/fold-*/evaluation.json"))]
    if errors:
        held_out = ", ".join(f"{100 * error:.1f} %" for error in errors)
        told("search", "search: errors of the folds' networks", held_out)
    trials = sum(len(lines(file)) for file in out.glob("search/fold-*/trials.jsonl"))
    found = "no policy yet"
    if policy.exists():
        found = f"{len(json.loads(policy.read_text())['sub_policies'])} sub-policies"
    told("search", "search", f"{found}, {trials} trials", "3.5 hours on a V100")


def train(name):
    step = f"train-{name}"
    for folder in out.glob(f"train/{name}/final/*"):
        epochs = [json.loads(line) for line in lines(folder / "epochs.jsonl")]
        ours = f"not finished, {len(epochs)} epochs"
        if (folder / "result.json").exists():
            error = json.loads((folder / "result.json").read_text())["error"]
            ours = f"{100 * error:.2f} % after {len(epochs)} epochs"
        if (folder / "diverged.json").exists():
            ours = f"diverged after {len(epochs)} epochs"
        told(step, f"test error, {NAMES[name]}", ours, PAPER.get(name, "–"))
        seconds = sum(epoch["seconds"] for epoch in epochs)
        if seconds:
            rate = sum(epoch["images"] for epoch in epochs) / seconds
            told(step, f"training, {NAMES[name]}", f"{rate:,.0f} images/s")


steps = log()
if "TINY=1" in (out / "settings.txt").read_text():
    print("A dry run of a small network: its figures say nothing.")
for line in lines(out / "environment.txt"):
    if line.startswith(("GPU: ", "CPU: ", "PyTorch ", "faa-runtime ")):
        print(line)
print()
row("figure", "ours", "paper", "command", "device", "seed", "time")
row(*["---"] * 7)
differ = check() if "check" in steps else []
for step in steps:
    if step.startswith(("rates-", "shares-")):
        rates(step)
if "search" in steps:
    search()
for name in NAMES:
    train(name)
failed = [step for step, (_, status, _) in steps.items() if status not in ["0", "124", "137"]]
if differ:
    print("\nWhat differs:\n\n" + "\n".join(differ))
if failed:
    print("\nFailed: " + ", ".join(failed))
END
    echo "run.sh: $OUT/summary.txt is written" >&2
}

main() {
    stage=${1:-help} failed=0
    case $stage in
        check | rates | search | train | report | all) ;;
        help | --help | -h)
            usage
            exit
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
    (($# == 1)) || die "one stage at a time, and no options: they are variables"
    cd "$(dirname "$0")"
    settings
    if [[ $stage = report ]]; then
        report
        exit
    fi
    find_libtorch
    describe_machine
    trap 'report || true' EXIT
    case $stage in
        all)
            check
            rates
            search
            train
            ;;
        *) "$stage" ;;
    esac
    exit "$failed"
}

main "$@"
