"""`python -m faa.ray search [options] -- --data … --out …`: `faa-runtime` on a Ray cluster."""

import argparse
import subprocess
import sys

from faa.ray import JobError, SetUpError, search


def main() -> int:
    """Runs the command, and returns its exit status."""
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(
        prog="python -m faa.ray",
        description="Run a search or trainings on a Ray cluster, one task per job.",
        epilog="Options after -- are those of faa-runtime; $NAME in them is a variable of the node. Example: "
        "python -m faa.ray search --address auto -- --data 'folder:$PETS' --final-seeds 3 --out /shared/pets",
    )
    add = parser.add_argument
    add("command", choices=["search", "train"])
    add("--address", help="address of the cluster, or auto [default: start one here]")
    help = "fractions share a GPU [%(default)s]"
    add("--gpus-per-task", type=float, default=1.0, help=help)
    add("--cpus-per-task", type=int, default=4, help="also --threads [%(default)s]")
    help = "attempts per job beyond the first [%(default)s]"
    add("--retries", type=int, default=3, help=help)
    add("--object-store", action="store_true", help="nodes share no folder with --out")
    try:
        search(sys.argv[at + 1 :], **vars(parser.parse_args(sys.argv[1:at])))
    except KeyboardInterrupt:
        return 130
    except (JobError, SetUpError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        # The program has said why.
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
