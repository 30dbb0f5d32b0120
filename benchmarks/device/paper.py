"""The SVHN Glow of Gao et al. (2020), table 7, on one GPU: likelihood, likelihood for longer, FCE, within minutes.

    bash benchmarks/device/paper.sh --data-root DATA                       # CIFAR-10 and the SVHN part, 500 seconds
    bash benchmarks/device/paper.sh --data-root DATA --data cifar10 --seconds 1800 --from OUT
    bash benchmarks/device/paper.sh --quick                                # tiny, on the CPU

DATA holds the official CIFAR-10, or cifar10-part.npz with images x, and svhn-8885.npz. First the pace of an update is
measured in several precisions; the time that is left then says how many updates each row gets. FCE and "for longer"
begin with the flow of the first row and get the same seconds. OUT/device-paper.json is written after every phase, a
phase that fails is noted there and the others go on, and the averaged weights are kept in parts, in float16, for
`--from`. A command that was stopped goes on where it was.
"""

import argparse
import json
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.device import weights
from benchmarks.device.flows import (
    FCE,
    LIKELIHOOD,
    LONGER,
    PAPER_GLOW,
    SHARES,
    Mode,
    Size,
    fit,
    pace,
    prepared,
    read_pixels,
    row_fields,
)
from benchmarks.device.throughput import MODES, precision_gaps, throughput_table
from benchmarks.lib.grid import provenance
from contrastive import ContrastiveEstimator, load
from contrastive.data.images import PixelScaling, quantize
from contrastive.data.images.grids import image_grid, write_png
from contrastive.data.preparation import Prepared
from contrastive.io.checkpoints import write_json
from contrastive.metrics.images import (
    EmbeddingNetwork,
    EmbeddingSummary,
    frechet_distance,
    kernel_distance,
    make_network,
    summarize,
)

SIZES = {
    "paper": Size(PAPER_GLOW, widths=(64, 128, 256), batch_size=256, samples=5_000, images=50_000, timed=20),
    "quick": Size(
        {"levels": 1, "blocks": 1, "width": 8},
        widths=(4, 6, 8),
        batch_size=20,
        samples=20,
        images=400,
        timed=2,
        fields={"test_rows": 20},
        game={"energy_steps": 2},
    ),
}
#: Of a set's time for training.
LIKELIHOOD_SHARE = 1 / 3
_SHOWN, _AT_ONCE, _SEED = 64, 250, 0
_MEASURING = 8.0  # seconds a row: loading, sampling, measuring, keeping the weights
_OF_UPDATES = 0.93  # of a row's seconds; the rest are evaluations
_SHORT = {LIKELIHOOD: "likelihood", LONGER: "longer", FCE: "fce"}
#: Options that say where something lies, and have no place in a file of results.
_PLACES = ("--out", "--runs", "--data-root", "--from", "--commit")


class Report:
    """What is known so far, written to OUT/device-paper.json after every phase.

    Args:
        path: the file; one that is there is gone on with.
        seconds: the time for everything.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self.path, self.seconds, self.started = path, seconds, time.monotonic()
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.content: dict[str, Any] = {"phases": {}, "failures": {}, **found}

    def left(self) -> float:
        """Seconds until everything has to be over."""
        return self.seconds - (time.monotonic() - self.started)

    def phase(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` returns, kept under `name`; None where it fails, with the traceback among the failures."""
        phases = self.content["phases"]
        if name in phases and "unfinished" not in phases[name]:
            return phases[name]["result"]
        print(f"== {name}: {self.left():.0f} s left", flush=True)
        started = time.monotonic()
        try:
            result = make()
            phases[name] = {"result": result, "seconds": round(time.monotonic() - started, 2)}
            if isinstance(result, dict) and not result.get("finished", True):
                phases[name]["unfinished"] = True  # a command that goes on takes it up again
            self.content["failures"].pop(name, None)
            print(json.dumps(phases[name])[:600], flush=True)
            return phases[name]["result"]
        except (Exception, KeyboardInterrupt):
            self.content["failures"][name] = traceback.format_exc()
            print(traceback.format_exc(), flush=True)
            return None
        finally:
            write_json(self.path, self.content)

    @contextmanager
    def noting(self, name: str) -> Iterator[None]:
        """Let nothing inside end the command: what is raised is noted as a failure of `name`."""
        try:
            yield
        except (Exception, KeyboardInterrupt):
            self.content["failures"][name] = traceback.format_exc()
            print(traceback.format_exc(), flush=True)
        write_json(self.path, self.content)


def main() -> None:
    """Measure the pace, fit, sample, measure, keep; one phase after the other."""
    arguments = parse()
    size = SIZES["quick" if arguments.quick else "paper"]
    size = replace(size, batch_size=arguments.batch_size or size.batch_size)
    sets = ["shapes"] if arguments.quick else arguments.data
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    arguments.out.mkdir(parents=True, exist_ok=True)
    report = Report(arguments.out / "device-paper.json", arguments.seconds)
    report.content |= about(arguments, size, device)
    pixels = {data: read_pixels(data, arguments.data_root, min(size.images, arguments.images)) for data in sets}
    first = sets[0]
    data = prepared(row_fields(first, LIKELIHOOD, size, device, Mode()), pixels[first])
    table = report.phase(
        "throughput",
        lambda: throughput_table(
            lambda mode: row_fields(first, LIKELIHOOD, size, device, mode),
            data,
            [name for name in arguments.modes if not (MODES[name].graphs and device == "cpu")],
            updates=size.timed,
            left=report.left,
        ),
    )
    best = Mode(**table["best"]) if table else Mode()
    modes = {LIKELIHOOD: best, LONGER: best, FCE: best}

    def game_pace() -> dict[str, Any]:
        fields = {**row_fields(first, FCE, size, device, modes[FCE]), "energy_steps": 0}
        return pace(fields, data, mode=modes[FCE], updates=size.timed)

    game = report.phase("pace of FCE", game_pace)
    if game is None and (best.compile or best.graphs):
        modes[FCE] = replace(best, compile=False, graphs=False)
        game = report.phase("pace of FCE, uncompiled", game_pace)
    report.content["modes"] = {label: vars(mode) for label, mode in modes.items()}
    shares = sum(SHARES[name] for name in sets)
    left = report.left()
    paces = {LIKELIHOOD: (table or {}).get("pace"), FCE: (game or {}).get("seconds_an_update")}
    for name in sets:
        budget = report.left() if name == sets[-1] else left * SHARES[name] / shares
        rows = Rows(name, pixels[name], size, device, modes, paces)
        with report.noting(name):
            one_set(report, arguments, rows, time.monotonic() + budget)
    print(summary(report.content))
    sys.exit(0 if any(key.endswith("fce") for key in report.content["phases"]) else 1)


@dataclass(frozen=True)
class Rows:
    """What the rows of one set of images have in common.

    Attributes:
        data: the set.
        pixels: its images.
        size: how large everything is.
        device: where it runs.
        modes: how an update of each row runs.
        paces: seconds an update of a row, where they are known.
    """

    data: str
    pixels: NDArray[np.uint8]
    size: Size
    device: str
    modes: dict[str, Mode]
    paces: dict[str, float | None]

    def fields(self, label: str) -> dict[str, Any]:
        """Fields of `FitConfig`, without updates."""
        return row_fields(self.data, label, self.size, self.device, self.modes[label])

    def steps(self, label: str, seconds: float) -> int:
        """Updates that fit into `seconds`, evaluations included."""
        pace = self.paces[LIKELIHOOD if label == LONGER else label]
        return max(6, int(_OF_UPDATES * seconds / (pace or 0.1)))


def one_set(report: Report, arguments: argparse.Namespace, rows: Rows, ends: float) -> None:
    """The three rows of one set of images, until `ends` on the monotonic clock."""
    name, size = rows.data, rows.size
    data = prepared(rows.fields(LIKELIHOOD), rows.pixels)

    @cache  # when a row asks for it: a command that goes on may have measured all
    def reference() -> tuple[EmbeddingNetwork, EmbeddingSummary]:
        network = make_network("efficientnet-lite0", device=rows.device)
        return network, summarize(torch.from_numpy(rows.pixels), network, limit=size.samples)

    def judged(estimator: ContrastiveEstimator) -> dict[str, Any]:
        return judge(estimator, *reference(), size.samples)

    training = max(3.0, ends - time.monotonic() - 3 * _MEASURING)
    seconds = {LIKELIHOOD: LIKELIHOOD_SHARE * training, FCE: (1 - LIKELIHOOD_SHARE) / 2 * training}
    places = {label: arguments.runs / name / short for label, short in _SHORT.items()}
    begun = None
    if arguments.begin_from:
        begun = weights.as_run(arguments.begin_from, name, places[LIKELIHOOD].with_name("begun"), data)
    shown = min(_SHOWN, size.samples)
    pictures = [image_grid(torch.from_numpy(rows.pixels[:shown]))]
    for label in (LIKELIHOOD, FCE, LONGER):
        short, path = _SHORT[label], places[label]
        start = begun if label == LIKELIHOOD else places[LIKELIHOOD]

        def make(label: str = label, path: Path = path, start: Path | None = start) -> dict[str, Any]:
            steps = 6 if arguments.quick else rows.steps(label, seconds[label])
            fields = {**rows.fields(label), "steps": steps}
            fields |= {"evaluate_every": max(1, steps // 6), "checkpoint_every": max(1, steps // 3)}
            fields |= {} if start is None else {"init_noise": str(start)}
            # Compiling once more, in a command that goes on, takes a while beside the updates.
            most = max(5.0, min(1.3 * seconds[label] + 20, ends - time.monotonic() - _MEASURING))
            for stale in (f"{name}: {_SHORT[label]}", f"{name}: weights of {_SHORT[label]}"):
                report.content["phases"].pop(stale, None)
            return fitted(path, fields, data, rows.modes[label], most)

        row = report.phase(f"{name}: fit of {short}", make)
        if row is None:
            continue
        if label == FCE:  # the flow that goes on by likelihood gets as long as FCE took
            seconds[LONGER] = row["summary"]["seconds"]
        estimator = load(path).to(rows.device)
        report.phase(f"{name}: {short}", partial(judged, estimator))
        if label == LIKELIHOOD:
            report.phase(f"{name}: precision", partial(precision_gaps, estimator, data.test[:256]))
        else:
            report.phase(f"{name}: weights of {short}", partial(weights.keep, path, name, arguments.out))
        pictures.append(image_grid(samples_of(estimator, shown)))
        draw(arguments.out / f"{name}-samples.png", pictures)


def judge(
    estimator: ContrastiveEstimator, network: EmbeddingNetwork, reference: EmbeddingSummary, n: int
) -> dict[str, Any]:
    """Distances of `n` draws of the noise from the training images, in the network's embedding."""
    started = time.monotonic()
    samples = samples_of(estimator, n)
    drawn = time.monotonic() - started
    found = summarize(samples, network, limit=n)
    kernel = kernel_distance(found.embeddings, reference.embeddings)
    return {
        "frechet_distance": frechet_distance(found.moments, reference.moments),
        "kernel_distance": kernel.value,
        "kernel_distance_standard_error": kernel.standard_error,
        "samples": found.moments.count,
        "reference_images": reference.moments.count,
        "samples_a_second": n / drawn,
    }


def fitted(path: Path, fields: dict[str, Any], data: Prepared, mode: Mode, most_seconds: float) -> dict[str, Any]:
    """What came of a row's fit; uncompiled where compiling or capturing it fails."""
    failed = None
    try:
        summary, whole = fit(path, fields, data, mode=mode, most_seconds=most_seconds)
    except Exception:
        if not (mode.compile or mode.graphs):
            raise
        failed = traceback.format_exc()
        print(failed, flush=True)
        mode = replace(mode, compile=False, graphs=False)
        summary, whole = fit(path, {**fields, "compile": False}, data, mode=mode, most_seconds=most_seconds)
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    kept = ("step", "seconds", "bits_per_dim_noise", "noise_spread", "value", "accuracy", "skipped")
    told = {key: value for key, value in fields.items() if key not in ("device", "init_noise")}
    return {
        "finished": whole,
        "mode": vars(mode),
        "compiling_failed": failed,
        "settings": told,
        "summary": summary,
        "curve": [{key: line[key] for key in kept if key in line} for line in lines],
    }


def samples_of(estimator: ContrastiveEstimator, n: int) -> torch.Tensor:
    """`n` images that the noise draws, uint8, on the CPU; the same latents for every flow."""
    assert isinstance(estimator.scaling, PixelScaling)
    device = estimator.log_normalizer.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(_SEED)
        parts = [estimator.sample_noise(min(_AT_ONCE, n - i)).cpu() for i in range(0, n, _AT_ONCE)]
    return quantize(torch.cat(parts), estimator.scaling.bits)


def draw(path: Path, pictures: list[NDArray[np.uint8]]) -> None:
    """Data, likelihood, FCE, likelihood for longer, side by side, as far as they are there."""
    gap = np.full((pictures[0].shape[0], 8, 3), 255, np.uint8)
    write_png(path, np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis=1))


def about(arguments: argparse.Namespace, size: Size, device: str) -> dict[str, Any]:
    """What the figures are made with."""
    told, skip = ["bash benchmarks/device/paper.sh"], False
    for word in sys.argv[1:]:
        if not skip and word not in _PLACES:
            told.append(shlex.quote(word))
        skip = word in _PLACES
    content = {**provenance(), "command": " ".join(told), "size": vars(size), "device": device}
    if arguments.commit:
        content["commit"] = arguments.commit
    if device.startswith("cuda"):
        about_gpu = torch.cuda.get_device_properties(device)
        content |= {"gpu": about_gpu.name, "gpu_gigabytes": round(about_gpu.total_memory / 1e9, 1)}
        content |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return content


def summary(content: dict[str, Any]) -> str:
    """The rows as text, each with its ratio to the flow that went on by likelihood."""
    phases = content["phases"]
    heads = {"distance": 10, "of longer": 11, "kd": 9, "bits/dim": 10, "seconds": 9, "updates": 9}
    lines = [f"{'data':10} {'row':12}" + "".join(f"{head:>{width}}" for head, width in heads.items())]
    for key in [key for key in phases if ": fit of " in key]:
        data, row = key.split(": fit of ")
        fitted, judged = phases[key]["result"]["summary"], phases.get(f"{data}: {row}", {}).get("result") or {}
        longer = phases.get(f"{data}: longer", {}).get("result") or {}
        distance = judged.get("frechet_distance", float("nan"))
        lines.append(
            f"{data:10} {row:12}{distance:10.1f}{distance / longer.get('frechet_distance', float('nan')):11.2f}"
            f"{judged.get('kernel_distance', float('nan')):9.3f}{fitted.get('bits_per_dim_noise', float('nan')):10.3f}"
            f"{fitted['seconds']:9.0f}{fitted['steps']:9}"
        )
    return "\n".join([*lines, *(f"failed: {name}" for name in content["failures"])])


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=("cifar10", "svhn-part"), default=["cifar10", "svhn-part"])
    parser.add_argument("--data-root", type=Path, default=Path("data"), help="of the images [data]")
    parser.add_argument("--images", type=int, default=50_000, help="of a set at most [50,000]")
    parser.add_argument("--seconds", type=float, default=500.0, help="for everything [500]")
    parser.add_argument("--out", type=Path, default=Path("runs/device-paper"), help="of what is kept")
    parser.add_argument("--runs", type=Path, help="of the runs' directories, which are large [OUT/runs]")
    parser.add_argument("--from", dest="begin_from", type=Path, help="OUT of a run: begin with its flows 'for longer'")
    parser.add_argument("--device", help="torch device [cuda where there is one]")
    parser.add_argument(
        "--modes", nargs="+", choices=MODES, help="that are timed [all; in the quick form not compiled]"
    )
    parser.add_argument("--batch-size", type=int, help="images an update [256]")
    parser.add_argument("--commit", help="of the code, where it is no git checkout")
    parser.add_argument("--quick", action="store_true", help="tiny drawn images, a few updates")
    arguments = parser.parse_args()
    arguments.runs = arguments.runs or arguments.out / "runs"
    arguments.modes = arguments.modes or [name for name, mode in MODES.items() if not mode.compile]
    return arguments


if __name__ == "__main__":
    main()
