"""`python -m faa.ray search [options] -- --data … --out …`: `faa-runtime` on a Ray cluster."""

import argparse
import subprocess
import sys

from faa.ray import JobFailed, SetUpError, search, train


def main() -> int:
    """Runs the command, and returns its exit status."""
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(
        prog="python -m faa.ray",
        description="Run a search or trainings on a Ray cluster, one task per job.",
        epilog="Options after -- are those of faa-runtime; $NAME in them is the node's environment variable.",
    )
    parser.add_argument("command", choices=["search", "train"])
    parser.add_argument(
        "--address", help="address of the cluster, or auto [default: start one here]"
    )
    parser.add_argument(
        "--gpus-per-task", type=float, default=1.0, help="fractions share a GPU [%(default)s]"
    )
    parser.add_argument("--cpus-per-task", type=int, default=4, help="also --threads [%(default)s]")
    parser.add_argument(
        "--retries", type=int, default=3, help="attempts per job beyond the first [%(default)s]"
    )
    parser.add_argument(
        "--object-store", action="store_true", help="nodes share no folder with --out"
    )
    options = vars(parser.parse_args(sys.argv[1:at]))
    run = {"search": search, "train": train}[options.pop("command")]
    try:
        run(sys.argv[at + 1 :], **options)
    except KeyboardInterrupt:
        return 130
    except ValueError as error:
        parser.error(str(error))
    except (JobFailed, SetUpError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        # The program has said why.
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
