"""What each part of a training recipe brings, on Multi30k.

    python tests/benchmarks/recipes.py --folder runs/recipes --epochs 6

Trains by `examples/translate.py --tokenized` once as it is, then once for
each part with that alone changed, one run after the other, and prints a table
of BLEU. Options that it does not know are handed to every run. A run that is
finished is not repeated, one that was stopped goes on; a line of the table is
printed when its run ends. Distillation, by `examples/distill.py`, has the
first run's model as its teacher, or `--teacher`; with references as well, an
epoch is twice as long.

`--minutes` gives each run the same time instead of the same epochs; take
`--schedule constant` with it, as the rate decays by epochs.
"""

import argparse
import csv
import json
import pathlib
import re
import subprocess
import sys
import time

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
FIRST = "recipe"
DISTILLATION = "distillation"

# Name of a folder: what a line of the table says, and the options.
PARTS = {
    FIRST: ("as it is", []),
    "unsmoothed": ("label smoothing 0", ["--label-smoothing=0"]),
    "average": ("average of the last 4 epochs", ["--average=4"]),
    "sampling": ("cuts drawn anew, alpha 0.2", ["--sampling-alpha=0.2"]),
    "own-words": ("scheduled sampling, to 0.25", ["--own-words=0.25"]),
    "r-drop": ("R-Drop, weight 2", ["--r-drop=2"]),
    "guided": ("guided alignment, weight 0.5", ["--guided-alignment=0.5"]),
    "separate": ("a vocabulary and embedding for each", ["--no-shared"]),
    "conditional": ("conditional GRU", ["--cell=conditional_gru"]),
    "deep": ("deep readout", ["--readout=deep"]),
    "untied": ("output weights of its own", ["--untied"]),
    "noam": ("Noam schedule", ["--schedule=noam"]),
    "constant": ("constant rate", ["--schedule=constant"]),
    DISTILLATION: ("distilled, of its own teacher", []),
    "distilled-both": ("the same, and references", ["--both"]),
}
HEAD = """\
| changed | epochs | minutes | validation BLEU, greedy | test BLEU, beam |
|---|---|---|---|---|"""


def build_command(name, folder, options, others):
    """Returns the command of a run, which may be there in part."""
    output = folder / name
    script = EXAMPLES / "translate.py"
    command = ["--tokenized", f"--seed={options.seed}", f"--output={output}"]
    command += [*others, *PARTS[name][1]]
    if name.startswith("distill"):
        script = EXAMPLES / "distill.py"
        teacher = options.teacher or folder / FIRST / "model.keras"
        command.append(f"--teacher={teacher}")
    if (output / "history.csv").exists():
        command.append("--resume")
    return [sys.executable, str(script), *command]


def run(name, folder, options, others):
    """Runs a part unless it is done. Returns its result, a dict."""
    output = folder / name
    result_path = output / "result.json"
    if result_path.exists():
        return json.loads(result_path.read_text())
    output.mkdir(parents=True, exist_ok=True)
    command = build_command(name, folder, options, others)
    start = time.monotonic()
    with open(output / "log.txt", "a", encoding="utf-8") as log:
        code = subprocess.call(command, stdout=log, stderr=subprocess.STDOUT)
    if code != 0:
        sys.exit(f"{name} failed. Its last words are in {output / 'log.txt'}")
    result = {
        # What it took before it was stopped nobody knows.
        "minutes": None
        if "--resume" in command
        else (time.monotonic() - start) / 60,
        **read_scores(output),
    }
    result_path.write_text(json.dumps(result))
    return result


def read_scores(output):
    """Returns what a finished run has left in its folder."""
    with open(output / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    log = (output / "log.txt").read_text(encoding="utf-8")
    # Of the model that is tested: the average, or the best epoch's.
    validation = re.findall(r"^Average of epochs: val_bleu ([\d.]+)", log, re.M)
    validation = validation[-1:] or [row["val_bleu"] for row in rows]
    return {
        "epochs": len(rows),
        "validation": max(map(float, validation)),
        "test": float(re.findall(r"^BLEU\S* = ([\d.]+)", log, re.M)[-1]),
    }


def format_line(name, result, first):
    """Returns a line of the table, with the difference to the first run."""
    minutes = result["minutes"]
    columns = [PARTS[name][0], result["epochs"]]
    columns.append("" if minutes is None else f"{minutes:.0f}")
    for split in ("validation", "test"):
        column = f"{result[split]:.2f}"
        if first is not None and result is not first:
            column += f" ({result[split] - first[split]:+.2f})"
        columns.append(column)
    return f"| {' | '.join(map(str, columns))} |"


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--folder", type=pathlib.Path, required=True, help="of all runs")
    add("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    add("--teacher", type=pathlib.Path, help="a model of translate.py")
    add("--seed", type=int, default=0)
    return parser.parse_known_args()


def main():
    options, others = parse_options()
    print(f"Options of all runs: {others}. Seed: {options.seed}.\n\n{HEAD}")
    first = None
    for name in options.only:
        result = run(name, options.folder, options, others)
        first = result if name == FIRST else first
        print(format_line(name, result, first), flush=True)


if __name__ == "__main__":
    main()
