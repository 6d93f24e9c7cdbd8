#!/usr/bin/env bash
# Checks and measures faa-runtime on an NVIDIA GPU, with the programs and images in this script's folder.
# `./run.sh` without arguments prints the usage.
set -euo pipefail

usage() {
    cat <<'END'
usage: ./run.sh STAGE [OPTION]…

  check     compare the GPU with the CPU: logits, a gradient, short trainings, two parallel backends
  sanitize  run a short training and scoring under compute-sanitizer, in float32 and in bf16; skipped
            if it is not on the PATH
  rates     measure images per second in training and scoring, and the fraction of time spent on
            augmentation
  search    search with the preset cifar10-reduced, without its final trainings
  resume    repeat the search in a second folder: kill it after a third of its time, then continue it
  train     train WRN-40-2 for 200 epochs: with Cutout only, with the found policy, without both, with
            TrivialAugment, and with a random policy
  report    write summary.txt and the archive from the results so far; all other stages end with this, too
  all       all stages, in this order

A call ends after about --budget seconds. Exit status: 75 if something remains to be done, in which case
the same call continues; 2 for wrong options; 1 after a failure; 0 when everything is done:

  status=75; while [ $status = 75 ]; do status=0; ./run.sh all || status=$?; done

Options; paths are relative to this script's folder:

  --device DEVICE   device [default: cuda:0]
  --out DIR         output folder; DIR.tar.gz receives the results without networks [default: results]
  --budget SECONDS  maximum time per call, which must be enough for an epoch [default: 540]
  --seed N          random seed [default: 0]
  --jobs N          number of folds in parallel [default: 5]
  --threads N       number of CPU threads [default: all]
  --policy FILE     policy for `train`; must have sub-policies [default: that of `search`]
  --data SPEC       data set, as for `faa-runtime search` [default: the packed images]
  --python PROGRAM  Python with PyTorch 2.11 [default: python3]
  --libtorch DIR    folder of libtorch 2.11.0 [default: $LIBTORCH, or that of PyTorch]
  --tiny            dry run of minutes, on the CPU with a small network [output folder: dry-run]
END
}

die() {
    echo "run.sh: $*" >&2
    exit 1
}

wrong_usage() {
    echo "run.sh: $*" >&2
    usage >&2
    exit 2
}

# Reads the command line. Options are not environment variables, because clusters have variables such as
# OUT and THREADS for their own purposes.
parse() {
    stage='' device='' out='' data='' policy='' tiny=''
    budget=540 seed=0 jobs='' threads='' python=python3 libtorch=${LIBTORCH:-}
    (($# > 0)) || set -- help
    while (($# > 0)); do
        case $1 in
            help | --help | -h)
                usage
                exit
                ;;
            --tiny) tiny=--tiny ;;
            --*=*)
                set -- "${1%%=*}" "${1#*=}" "${@:2}"
                continue
                ;;
            --budget | --seed | --jobs | --threads)
                set_option "$1" "${2:-}"
                # Longer numbers would not fit into the script's arithmetic.
                [[ $2 =~ ^(0|[1-9][0-9]{0,8})$ ]] ||
                    wrong_usage "$1: \`$2\` is not a whole number of at most nine digits"
                [[ $2 != 0 || $1 = --seed ]] || wrong_usage "$1 must be at least 1"
                shift
                ;;
            --device | --out | --policy | --data | --python | --libtorch)
                set_option "$1" "${2:-}"
                shift
                ;;
            -*) wrong_usage "unknown option $1" ;;
            check | sanitize | rates | search | resume | train | report | all)
                [[ -z $stage ]] || wrong_usage "only one stage per call, not both $stage and $1"
                stage=$1
                ;;
            *) wrong_usage "unknown stage \`$1\`" ;;
        esac
        shift
    done
    [[ -n $stage ]] || wrong_usage "the stage is missing"
}

# `set_option --NAME VALUE` sets the variable NAME.
set_option() {
    [[ -n $2 && $2 != -* ]] || wrong_usage "$1 needs a value"
    printf -v "${1#--}" %s "$2"
}

# Completes the options with their defaults, most of which `--tiny` changes.
settings() {
    if [[ -n $tiny ]]; then
        device=${device:-cpu} out=${out:-dry-run} jobs=${jobs:-1}
        model=wrn-10-1 check_images=200 check_epochs=2 rate_images=200
        measured=("64 float32")
        # Long enough that `resume` kills it in a training, and not while images are loaded.
        search_options=(--model wrn-10-1 --images 200 --folds 2 --epochs 20 --warmup-epochs 1
            --batch 32 --rounds 1 --trials 20 --top-n 2)
        training=(--model wrn-10-1 --epochs 2 --warmup-epochs 1 --batch 64 --learning-rate 0.05)
    else
        device=${device:-cuda:0} out=${out:-results} jobs=${jobs:-5}
        model=wrn-40-2 check_images=2000 check_epochs=4 rate_images=20000
        measured=("128 auto" "512 auto" "512 float32")
        search_options=()
        training=(--model wrn-40-2 --epochs 200 --batch 512 --learning-rate 0.4)
    fi
    threads=${threads:-$(nproc)}
    [[ -r pack.txt ]] ||
        die "there is no pack.txt: run this script in a folder packed by cargo xtask gpu-pack"
    data=${data:-tar:$(sed -n 's/^data: //p' pack.txt)}
    if [[ $python = */* ]]; then
        python=$(realpath -ms -- "$python")
    fi
    hardware=(--device "$device" --threads "$threads" --seed "$seed")
    # `train` replaces the final trainings, with a different batch size.
    search_command=(bin/faa-runtime search --data "$data" --preset cifar10-reduced
        "${search_options[@]}" "${hardware[@]}" --jobs "$jobs" --no-final-trainings --out)
    mkdir -p "$out/logs" "$out/done"

    # Finished steps are not repeated, so all results in a folder must have the same settings.
    local chosen="--device $device --seed $seed --data $data${tiny:+ $tiny}"
    [[ -e $out/settings.txt ]] || echo "$chosen" >"$out/settings.txt"
    [[ $(<"$out/settings.txt") = "$chosen" ]] ||
        die "$out has results of $(<"$out/settings.txt"), but this is $chosen: choose a different --out"
}

# Finds PyTorch's libtorch. `faa-runtime` finds it by LIBTORCH, the other programs by LD_LIBRARY_PATH.
find_libtorch() {
    # Python imports modules from the current folder, so this runs in another.
    local ask='import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])'
    LIBTORCH=${libtorch:-$(cd / && "$python" -c "$ask" 2>/dev/null)} ||
        die "$python has no PyTorch: give --python or --libtorch"
    LIBTORCH=$(cd "$LIBTORCH" && pwd)
    export LIBTORCH LD_LIBRARY_PATH=$LIBTORCH/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    # It checks the version, and starts faa-runtime-torch.
    bin/faa-runtime doctor >"$out/logs/doctor.txt" 2>&1 ||
        { cat "$out/logs/doctor.txt" >&2 && die "faa-runtime cannot run here"; }
}

# Records the machine, once per GPU.
describe_machine() {
    local gpu versions
    gpu=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null |
        paste -sd';') || gpu=
    gpu="GPU: ${gpu:-none}"
    echo "# $(date -u +%FT%TZ), $gpu" >>"$out/log.txt"
    grep -qsxF "$gpu" "$out/environment.txt" && return
    versions='import torch as t; print("PyTorch", t.__version__, "CUDA", t.version.cuda, "cuDNN",
        t.backends.cudnn.version())'
    {
        echo "$gpu"
        date -u +%FT%TZ
        cat pack.txt
        echo "CPU: $(sed -n '/^model name/{s/.*: //p;q}' /proc/cpuinfo), $(nproc) threads"
        "$python" -c "$versions" 2>/dev/null || echo "no PyTorch in $python"
        cat "$out/logs/doctor.txt"
        nvidia-smi 2>/dev/null || true
        echo
    } >>"$out/environment.txt"
}

# Ends the call; the next one continues.
end_for_now() {
    echo "run.sh: stopped after $budget seconds; the same call continues" >&2
    exit 75
}

# `step NAME KIND COMMAND…` runs a command, unless it is done. If it is interrupted, a command of the kind
# `resumes` continues in the next call; one of the kind `once` starts again, so it must fit into a call. One
# of the kind `killed:SECONDS` is killed after that time, and done then.
# Returns the status of commands of the kind `once`; ends the script if one of a different kind fails.
step() {
    local name=$1 kind=$2 left limit needed=0 started took status=0
    shift 2
    if [[ -e $out/done/$name ]]; then
        status=$(<"$out/done/$name")
        # `all` continues after a failure, and does not repeat the failed step.
        if [[ $status = 0 || $stage = all ]]; then
            return "$status"
        fi
        status=0
    fi
    left=$((budget - SECONDS))
    # With --foreground, only the program gets the signal, once. A second one, to its group, would end it
    # immediately.
    limit=(--foreground --signal=INT --kill-after=30 "$left")
    if [[ $kind = killed:* ]]; then
        needed=${kind#*:}
        # Both programs are killed: a faa-runtime-torch that is left alone first finishes its epoch.
        limit=(--signal=KILL "$needed")
    fi
    # A shorter time would be spent on starting.
    if ((left * 10 < budget || left < needed)); then
        end_for_now
    fi
    if [[ $kind != resumes ]]; then
        rm -f "$out/logs/$name.txt"
    fi
    echo "== $name: $*"
    started=$(date +%s%N)
    timeout "${limit[@]}" "$@" </dev/null 2>&1 |
        tee -a "$out/logs/$name.txt" || status=${PIPESTATUS[0]}
    took=$((($(date +%s%N) - started) / 1000000))
    printf '%s\t%s\t%s\t%d.%03d\t%s\n' "$(date -u +%FT%TZ)" "$name" "$status" \
        $((took / 1000)) $((took % 1000)) "$*" >>"$out/log.txt"
    if [[ $kind = killed:* && $status = 137 ]]; then
        status=0
    fi
    if ((status != 0 && took >= left * 1000)); then
        # A command that had a whole call would not be done in the next one, either.
        if [[ $kind != once ]] || ((left * 10 < budget * 9)); then
            end_for_now
        fi
        echo "run.sh: $name does not fit into $budget seconds: raise --budget" >&2
    fi
    if ((status != 0)) && [[ $kind != once ]]; then
        die "$name ended with $status; see $out/logs/$name.txt"
    fi
    echo "$status" >"$out/done/$name"
    return "$status"
}

check() {
    step check once bin/device_check "$data" "$model" "$check_images" \
        "$check_epochs" "$device" "$threads" || failed=1
}

sanitize() {
    local precision reason=''
    if [[ -n $tiny ]]; then
        reason="this is a dry run"
    elif [[ $device = cpu ]]; then
        reason="the device is cpu"
    elif ! command -v compute-sanitizer >/dev/null; then
        reason="it is not on the PATH"
    fi
    if [[ -n $reason ]]; then
        echo "compute-sanitizer: skipped, because $reason" | tee "$out/logs/sanitize.txt"
        return
    fi
    rm -f "$out/logs/sanitize.txt"
    for precision in float32 bf16; do
        # 3 is no exit status of `rates`.
        step "sanitize-$precision" once compute-sanitizer --tool memcheck --error-exitcode 3 \
            bin/rates "$data" wrn-16-2 512 128 "$device" "$precision" "$threads" || failed=1
    done
}

rates() {
    local pair batch precision
    for pair in "${measured[@]}"; do
        read -r batch precision <<<"$pair"
        step "rates-$batch-$precision" once bin/rates "$data" "$model" "$rate_images" "$batch" \
            "$device" "$precision" "$threads" || failed=1
    done
}

search() {
    step search resumes "${search_command[@]}" "$out/search"
}

# What a preempted machine does to a search, and that the search bears it.
resume() {
    local seconds
    [[ -e $out/done/search ]] || die "the search is not finished: run ./run.sh search first"
    # Rounded up, and at most half a call, so that the next call has the time in any case.
    seconds=$(awk -F '\t' -v most=$(((budget + 1) / 2)) '
        $2 == "search" { all += $4 }
        END { third = int(all / 3) + 1; print third < most ? third : most }' "$out/log.txt")
    if [[ ! -e $out/done/resume-killed ]]; then
        rm -rf "$out/resume"
    fi
    step resume-killed "killed:$seconds" "${search_command[@]}" "$out/resume"
    step resume resumes "${search_command[@]}" "$out/resume"
}

train() {
    local found=${policy:-$out/search/policy.json} count
    # An invalid --policy is reported before hours of work.
    if [[ -n $policy ]]; then
        count=$(sub_policies_of "$found")
    fi
    train_with cutout --policy none
    count=$(sub_policies_of "$found")
    train_with policy --policy "$found"
    train_with none --policy none --cutout 0
    train_with trivialaugment --policy trivialaugment-wide
    # A random policy of the same size as the found one.
    train_with random --policy "random:$count"
}

# The number of sub-policies in a policy file.
sub_policies_of() {
    local count='import json, sys; print(len(json.load(open(sys.argv[1]))["sub_policies"]))'
    [[ -r $1 ]] || die "there is no $1: run ./run.sh search, or give --policy"
    "$python" -c "$count" "$1" 2>/dev/null ||
        die "$1 has no sub-policies: --policy must be a policy file as a search writes it"
}

train_with() {
    local name=$1
    shift
    step "train-$name" resumes bin/faa-runtime train --data "$data" "$@" "${training[@]}" \
        "${hardware[@]}" --out "$out/train/$name"
}

# Writes the rows of runtime/torch/RESULTS.md, from the results so far.
report() {
    "$python" - "$out" "$device" "$seed" "$tiny" >"$out/summary.txt.tmp" <<'END' || return
import json
import re
import sys
from pathlib import Path

out, (device, seed, tiny) = Path(sys.argv[1]), sys.argv[2:]
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


def sanitize(step):
    errors = re.findall(r"ERROR SUMMARY: (\d+ errors?)", "\n".join(lines(out / f"logs/{step}.txt")))
    found = errors[-1] if errors else "no result"
    precision = step.removeprefix("sanitize-")
    print_result(step, f"short training and scoring in {precision}", f"compute-sanitizer: {found}")


def sub_policies(policy):
    return f"{len(json.loads(policy.read_text())['sub_policies'])} sub-policies"


def search():
    policy = out / "search/policy.json"
    errors = [json.loads(file.read_text())["error"]
              for file in sorted(out.glob("search/fold-*/evaluation.json"))]
    if errors:
        held_out = ", ".join(f"{100 * error:.1f} %" for error in errors)
        print_result("search", "search: errors of the folds' networks", held_out)
    trials = sum(len(lines(file)) for file in out.glob("search/fold-*/trials.jsonl"))
    found = sub_policies(policy) if policy.exists() else "no policy yet"
    print_result("search", "search", f"{found}, {trials} trials", "3.5 hours on a V100")


def resume():
    seconds, killed, _ = steps["resume-killed"]
    found = f"killed after {seconds:,.0f} s"
    if killed != "137":
        found = f"ended with {killed} after {seconds:,.0f} s, before it was killed"
    seconds, status, _ = steps.get("resume", (0, "", ""))
    policy = out / "resume/policy.json"
    if status == "0" and policy.exists():
        first = out / "search/policy.json"
        same = "the same" if policy.read_bytes() == first.read_bytes() else "a different"
        found += f"; finished in {seconds:,.0f} s more with {sub_policies(policy)}, {same} policy.json"
    else:
        found += "; not finished yet"
    print_result("resume", "search, killed and continued", found)


def train(name):
    step = f"train-{name}"
    for folder in out.glob(f"train/{name}/final/*"):
        epochs = [json.loads(line) for line in lines(folder / "epochs.jsonl")]
        ours = f"not finished, {len(epochs)} epochs"
        if (folder / "evaluation.json").exists():
            error = json.loads((folder / "evaluation.json").read_text())["error"]
            ours = f"{100 * error:.2f} % after {len(epochs)} epochs"
        if (folder / "diverged.json").exists():
            ours = f"diverged after {len(epochs)} epochs"
        print_result(step, f"test error, {NAMES[name]}", ours, PAPER.get(name, "–"))
        seconds = sum(epoch["seconds"] for epoch in epochs)
        if seconds:
            rate = sum(epoch["images"] for epoch in epochs) / seconds
            print_result(step, f"training, {NAMES[name]}", f"{rate:,.0f} images/s")


steps = log()
if tiny:
    print("Dry run with a small network: the figures are meaningless.")
for line in lines(out / "environment.txt"):
    if line.startswith(("GPU: ", "CPU: ", "PyTorch ", "faa-runtime ")):
        print(line)
print()
row("figure", "ours", "paper", "command", "device", "seed", "time")
row(*["---"] * 7)
differ = check() if "check" in steps else []
for step in steps:
    if step.startswith("sanitize-"):
        sanitize(step)
    if step.startswith("rates-"):
        rates(step)
if "search" in steps:
    search()
if "resume-killed" in steps:
    resume()
for name in NAMES:
    train(name)
for line in lines(out / "logs/sanitize.txt"):
    print(f"\n{line}")
# A step that was interrupted has a last status of 124 or 137, and is done only if it did not fit into a call.
failed = [step for step, (_, status, _) in steps.items()
          if status not in ["0", "124", "137"] or lines(out / f"done/{step}") not in [[], ["0"]]]
if differ:
    print("\nDifferences:\n\n" + "\n".join(differ))
if failed:
    print("\nFailed: " + ", ".join(failed))
END
    mv -f "$out/summary.txt.tmp" "$out/summary.txt"
    echo "run.sh: wrote $out/summary.txt" >&2
}

# Packs the results, without networks and checkpoints, which are most of their size, and without the files
# that killed programs were writing.
archive() {
    local folder
    folder=$(realpath -ms -- "$out")
    tar -czf "$folder.tar.gz.tmp" --exclude='*.safetensors' --exclude='.partial-*' \
        -C "$(dirname "$folder")" -- "$(basename "$folder")" || return
    mv -f "$folder.tar.gz.tmp" "$folder.tar.gz"
    echo "run.sh: wrote $folder.tar.gz" >&2
}

# Every stage ends with this.
finish() {
    local status=0
    report || status=1
    archive || status=1
    return "$status"
}

main() {
    failed=0
    parse "$@"
    cd "$(dirname "$0")"
    settings
    if [[ $stage = report ]]; then
        finish
        exit
    fi
    find_libtorch
    describe_machine
    trap 'finish || true' EXIT
    case $stage in
        all)
            check
            sanitize
            rates
            search
            resume
            train
            ;;
        *) "$stage" ;;
    esac
    exit "$failed"
}

main "$@"
