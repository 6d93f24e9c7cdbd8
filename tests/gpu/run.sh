#!/usr/bin/env bash
# Checks and measures faa-runtime on an NVIDIA GPU, with the programs and images in this script's folder.
# `./run.sh` without arguments prints the usage.
set -euo pipefail

usage() {
    cat <<'END'
usage: ./run.sh check | rates | search | train | report | all

  check   compare the GPU with the CPU: logits, a gradient, short trainings, two parallel backends
  rates   measure images per second in training and scoring, and the fraction of time spent on
          augmentation
  search  search with the preset cifar10-reduced, without its final trainings
  train   train WRN-40-2 for 200 epochs: with Cutout only, with the found policy, without both, with
          TrivialAugment, and with a random policy
  report  write summary.txt from the results so far; all other stages end with this, too
  all     all stages, in this order

A call ends after at most BUDGET seconds. Exit status: 75 if something remains to be done, in which
case the same call continues; 1 after a failure; 0 when everything is done:

  status=75; while [ $status = 75 ]; do status=0; ./run.sh all || status=$?; done

Options are environment variables; paths are relative to this script's folder:

  DEVICE    device [default: cuda:0]
  OUT       output folder [default: results]
  BUDGET    maximum seconds per call, which must be enough for an epoch [default: 540]
  SEED      random seed [default: 0]
  JOBS      number of folds in parallel [default: 5]
  THREADS   number of CPU threads [default: all]
  POLICY    policy file for `train`; must have sub-policies [default: that of `search`]
  DATA      data set, as for `faa-runtime search` [default: the packed images]
  PYTHON    Python with PyTorch 2.11 [default: python3]
  LIBTORCH  folder of libtorch 2.11.0 [default: that of PyTorch]
  TINY      1 for a dry run of minutes, on the CPU with a small network, to dry-run [default: 0]
END
}

die() {
    echo "run.sh: $*" >&2
    exit 1
}

# Reads the options; `TINY` changes most defaults.
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
    [[ -r pack.txt ]] || die "there is no pack.txt: run this script in a folder packed by cargo xtask gpu-pack"
    DATA=${DATA:-tar:$(sed -n 's/^data: //p' pack.txt)}
    hardware=(--device "$DEVICE" --threads "$THREADS" --seed "$SEED")
    mkdir -p "$OUT/logs" "$OUT/done"

    # Finished steps are not repeated, so all results in a folder must have the same settings.
    local chosen="TINY=$TINY DEVICE=$DEVICE SEED=$SEED DATA=$DATA"
    [[ -e $OUT/settings.txt ]] || echo "$chosen" >"$OUT/settings.txt"
    [[ $(<"$OUT/settings.txt") = "$chosen" ]] ||
        die "$OUT has results of $(<"$OUT/settings.txt"), but this is $chosen: choose a different OUT"
}

# Finds PyTorch's libtorch. `faa-runtime` finds it by LIBTORCH, the other programs by LD_LIBRARY_PATH.
find_libtorch() {
    # Python imports modules from the current folder, so this runs in another.
    local ask='import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])'
    LIBTORCH=${LIBTORCH:-$(cd / && "$PYTHON" -c "$ask" 2>/dev/null)} ||
        die "$PYTHON has no PyTorch: set PYTHON or LIBTORCH"
    LIBTORCH=$(cd "$LIBTORCH" && pwd)
    export LIBTORCH LD_LIBRARY_PATH=$LIBTORCH/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    # It checks the version, and starts faa-runtime-torch.
    bin/faa-runtime doctor >"$OUT/logs/doctor.txt" 2>&1 ||
        { cat "$OUT/logs/doctor.txt" >&2 && die "faa-runtime cannot run here"; }
}

# Records the machine, once per GPU.
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

# Ends the call; the next one continues.
end_for_now() {
    echo "run.sh: stopped after $BUDGET seconds; the same call continues" >&2
    exit 75
}

# `step NAME KIND COMMAND…` runs a command, unless it is done. If it is interrupted, a command of the kind
# `resumes` continues in the next call; one of the kind `once` starts again, so it must fit into a call.
# Returns the status of commands of the kind `once`; ends the script if one of the kind `resumes` fails.
step() {
    local name=$1 kind=$2 left started took status=0
    shift 2
    if [[ -e $OUT/done/$name ]]; then
        status=$(<"$OUT/done/$name")
        # `all` continues after a failure, and does not repeat the failed step.
        if [[ $status = 0 || $stage = all ]]; then
            return "$status"
        fi
        status=0
    fi
    left=$((BUDGET - SECONDS))
    # A shorter time would be spent on starting.
    if ((left * 10 < BUDGET)); then
        end_for_now
    fi
    if [[ $kind = once ]]; then
        rm -f "$OUT/logs/$name.txt"
    fi
    echo "== $name: $*"
    started=$(date +%s%N)
    # With --foreground, only the program gets the signal, once. A second one, to its group, would end it
    # immediately.
    timeout --foreground --signal=INT --kill-after=30 "$left" "$@" </dev/null 2>&1 |
        tee -a "$OUT/logs/$name.txt" || status=${PIPESTATUS[0]}
    took=$((($(date +%s%N) - started) / 1000000))
    printf '%s\t%s\t%s\t%d.%03d\t%s\n' "$(date -u +%FT%TZ)" "$name" "$status" \
        $((took / 1000)) $((took % 1000)) "$*" >>"$OUT/log.txt"
    if ((status != 0 && took >= left * 1000)); then
        if [[ $kind = once ]] && ((left * 10 >= BUDGET * 9)); then
            die "$name does not fit into $BUDGET seconds: raise BUDGET"
        fi
        end_for_now
    fi
    if ((status != 0)) && [[ $kind = resumes ]]; then
        die "$name ended with $status; see $OUT/logs/$name.txt"
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
            "$DEVICE" "$precision" "$THREADS" || failed=1
    done
}

search() {
    # `train` replaces the final trainings, with a different batch size.
    step search resumes bin/faa-runtime search --data "$DATA" --preset cifar10-reduced \
        "${search_options[@]}" "${hardware[@]}" --jobs "$JOBS" --no-final-trainings --out "$OUT/search"
}

train() {
    local policy=${POLICY:-$OUT/search/policy.json} count
    # An invalid POLICY is reported before hours of work.
    if [[ -n ${POLICY:-} ]]; then
        count=$(sub_policies_of "$policy")
    fi
    train_with cutout --policy none
    count=$(sub_policies_of "$policy")
    train_with policy --policy "$policy"
    train_with none --policy none --cutout 0
    train_with trivialaugment --policy trivialaugment-wide
    # A random policy of the same size as the found one.
    train_with random --policy "random:$count"
}

# The number of sub-policies in a policy file.
sub_policies_of() {
    local count='import json, sys; print(len(json.load(open(sys.argv[1]))["sub_policies"]))'
    [[ -r $1 ]] || die "there is no $1: run ./run.sh search, or set POLICY"
    "$PYTHON" -c "$count" "$1" 2>/dev/null ||
        die "$1 has no sub-policies: POLICY must be a policy file as a search writes it"
}

train_with() {
    local name=$1
    shift
    step "train-$name" resumes bin/faa-runtime train --data "$DATA" "$@" "${training[@]}" \
        "${hardware[@]}" --out "$OUT/train/$name"
}

# Writes the rows of runtime/torch/RESULTS.md, from the results so far.
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
    """The seconds, last status and last command of each step."""
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


def print_result(step, figure, ours, paper="–"):
    seconds, _, command = steps.get(step, (0, "", "–"))
    row(figure, ours, paper, f"`{command}`", device, seed, f"{seconds:,.0f} s")


def check():
    log = lines(out / "logs/check.txt")
    differ = [line for line in log if line.startswith("DIFFERS")]
    same = sum(line.startswith("ok ") for line in log)
    print_result("check", "device against CPU", f"{same} comparisons pass, {len(differ)} fail")
    return differ


def rates(step):
    for line in lines(out / f"logs/{step}.txt"):
        if line.startswith("{"):
            measured = json.loads(line)
            for given in ["model", "images", "batch", "device", "precision", "threads"]:
                measured.pop(given, None)
            for name, number in measured.items():
                fraction = name.startswith("augmentation_of") or name == "scoring_of_network"
                ours = f"{100 * number:.1f} %" if fraction else f"{number:,.0f} images/s"
                print_result(step, f"{step}: {name}", ours)


def search():
    policy = out / "search/policy.json"
    errors = [json.loads(file.read_text())["error"]
              for file in sorted(out.glob("search/fold-*/evaluation.json"))]
    if errors:
        held_out = ", ".join(f"{100 * error:.1f} %" for error in errors)
        print_result("search", "search: errors of the folds' networks", held_out)
    trials = sum(len(lines(file)) for file in out.glob("search/fold-*/trials.jsonl"))
    found = "no policy yet"
    if policy.exists():
        found = f"{len(json.loads(policy.read_text())['sub_policies'])} sub-policies"
    print_result("search", "search", f"{found}, {trials} trials", "3.5 hours on a V100")


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
        print_result(step, f"test error, {NAMES[name]}", ours, PAPER.get(name, "–"))
        seconds = sum(epoch["seconds"] for epoch in epochs)
        if seconds:
            rate = sum(epoch["images"] for epoch in epochs) / seconds
            print_result(step, f"training, {NAMES[name]}", f"{rate:,.0f} images/s")


steps = log()
if "TINY=1" in (out / "settings.txt").read_text():
    print("Dry run with a small network: the figures are meaningless.")
for line in lines(out / "environment.txt"):
    if line.startswith(("GPU: ", "CPU: ", "PyTorch ", "faa-runtime ")):
        print(line)
print()
row("figure", "ours", "paper", "command", "device", "seed", "time")
row(*["---"] * 7)
differ = check() if "check" in steps else []
for step in steps:
    if step.startswith("rates-"):
        rates(step)
if "search" in steps:
    search()
for name in NAMES:
    train(name)
failed = [step for step, (_, status, _) in steps.items() if status not in ["0", "124", "137"]]
if differ:
    print("\nDifferences:\n\n" + "\n".join(differ))
if failed:
    print("\nFailed: " + ", ".join(failed))
END
    echo "run.sh: wrote $OUT/summary.txt" >&2
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
    (($# == 1)) || die "only one stage per call; options are environment variables"
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
