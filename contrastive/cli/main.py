"""Parsing of the command line. Nothing here imports torch, so that `--help` answers at once."""

import argparse
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

try:
    from contrastive import __version__
except ImportError:
    sys.exit(
        "contrastive: error: another project's package 'contrastive' (contrastive PCA) is installed over this one; "
        "pip uninstall contrastive, then install contrastive-estimation again"
    )
from contrastive.cli.options import add_config_options
from contrastive.config import PARTS, SETTINGS
from contrastive.errors import ContrastiveError, ContrastiveWarning, near

_EXAMPLES = {
    "fit": """examples:
  contrastive fit --data 8gaussians --noise gaussian
  contrastive fit --data 8gaussians --noise glow                  # fixed-flow NCE: the flow is fitted first, then held
  contrastive fit --data 8gaussians --noise glow --method fce     # the flow plays against the energy
  contrastive fit --data table.csv --columns age,height --noise gaussian-mixture --noise.components 4
  contrastive fit --data 8gaussians --noise glow --noise.width 64 --energy.widths 64,64
  contrastive fit --data table.csv --label-column species --noise glow --method fce    # a density of each class
  contrastive fit --data table.csv --weight-column w    # rows that count as often as w says
  contrastive fit --data two-spirals --labels-per-class 7 --vat-weight 1 --noise nsf --method fce
  contrastive fit --data FOLDER --image-size 32 --energy tilted --noise glow --method fce --pretrain-steps 5000
  contrastive fit --data cifar10 --data-root data --flip --energy tilted --noise glow --noise.preset cifar10
  contrastive fit --data images.npz --bits 5 --method mle --noise glow --early-stopping 5    # uint8 (n, h, w, c)
  contrastive fit --resume runs/8gaussians-fce-glow
  contrastive fit --config runs/8gaussians-fce-glow/config.yaml --seed 1 --out runs/seed1""",
    "evaluate": """examples:
  contrastive evaluate runs/8gaussians-fce-glow
  contrastive evaluate runs/table-nce-gaussian --data new.csv --json
  contrastive evaluate runs/table-nce-gaussian --standard-errors
  contrastive evaluate runs/table-nce-gaussian --goodness                        # could these rows be its samples?
  contrastive evaluate runs/pictures-fce-glow --image-distances 10000    # how far the flow's samples are from data""",
    "predict": """examples:
  contrastive predict runs/table-fce-glow --data new.csv --out predictions.csv
  contrastive predict runs/table-fce-glow --data new.csv --out predictions.npz --overwrite

Of each row: the most probable class, the probability of every class given that the row is data, and log p, nats. For
runs that were fitted with labels: docs/how-to/few-labels.md""",
    "score": """examples:
  contrastive score runs/table-nce-gaussian --data new.csv --out scores.csv
  contrastive score runs/table-nce-gaussian --data new.csv.gz --out scores.parquet --top 20    # show the rarest rows
  contrastive score runs/table-nce-gaussian --data large.parquet --out scores.npy --resume     # go on where it stopped

A row in, a row out, in order, of files of any size: log_p and log_q (nats), and hdr_level, the share of the run's
held-out rows that are more likely under p (0 to 1, large = rare). Cells of rows with missing entries are empty. More:
docs/how-to/score-rows.md""",
    "sample": """examples:
  contrastive sample runs/8gaussians-fce-glow --from noise -n 1000 --out samples.npy
  contrastive sample runs/8gaussians-fce-glow --from energy -n 1000 --out samples.csv
  contrastive sample runs/8gaussians-fce-glow --sampler hmc --chains 100 --warmup 200 --thin 5 --out samples.npy
  contrastive sample runs/8gaussians-fce-glow --sampler resampling --out preview.npy     # fast, approximate
  contrastive sample runs/table-fce-glow --label 0 --out samples.npy                     # one class
  contrastive sample runs/8gaussians-fce-glow --out samples.npy --json > diagnostics.json
  contrastive sample runs/galaxies --given g=21.5,r=20.9 -n 1000 --out redshifts.csv         # of p(x | given)
  contrastive sample runs/galaxies --given new.csv -n 100 --out redshifts.csv                # for each row
  contrastive sample runs/pictures-fce-glow --from noise -n 64 --out samples.png              # of a run of images""",
    "features": """examples:
  contrastive features runs/images --list-layers
  contrastive features runs/images --data images.npz --out features.npz
  contrastive features runs/images --data images.npz --layers dcgan --out features.npz
  contrastive features runs/table --data table.csv --columns age,height --labels sick --out features.npz
  contrastive features runs/images --data images.npz --layers layers.3,layers.5 --pool 4 --out features.npz

The file holds `features` (float32, a row a point), `layers` and `sizes` (their columns), and `y` where the data have
labels: an array `y` beside the data in an .npz, or what --labels names. More: docs/how-to/features.md""",
    "normalizer": """examples:
  contrastive normalizer runs/8gaussians-fce-glow
  contrastive normalizer runs/8gaussians-fce-glow --method annealing --draws 20000
  contrastive normalizer runs/8gaussians-nce-gaussian --level 0.99 --json
  contrastive normalizer runs/galaxies --given g=21.5,r=20.9             # log Z(y) of p(x | y)

The learned c is a parameter; this is an estimate of log Z with an interval, and a verdict: reliable, or doubtful with
the reasons. What they mean and what to do: docs/how-to/normalizer.md""",
    "impute": """examples:
  contrastive impute runs/people-nce-mixed-made --data holes.csv --out filled.csv
  contrastive impute runs/people-nce-mixed-made --data holes.csv --draws 20 --out drawn.csv    # multiple imputation

Of each row with gaps: draws of the missing values given the others, from the energy; the other values stay. With more
draws than one the first column counts them. For runs of a table as it is: docs/how-to/missing-values.md""",
    "schema": """examples:
  contrastive schema people.csv                                        # the kinds that would be read
  contrastive schema people.csv --positive income --bounded share:0:1 --circular longitude:-180:180
  contrastive schema people.csv --json
  contrastive schema runs/people-nce-mixed-made                        # the kinds of a finished run

A fit takes a table so with --data.mixed true, or where the kind of a column is told: docs/how-to/mixed-tables.md""",
    "ratio": """examples:
  contrastive ratio patients.csv controls.csv                               # log p_A / p_B, KL, a test, calibration
  contrastive ratio target.csv source.csv --out ratios/shift                # weights of source's rows, in b.csv
  contrastive ratio new.csv old.csv --columns age,height --objective least-squares --energy.widths 128,128
  contrastive ratio table.csv --independent age height,weight               # mutual information, a test of dependence
  contrastive ratio simulations.csv --independent theta x1,x2 --objective balanced    # BNRE: a conservative posterior

Columns are matched by name. A quarter of each table's rows is held out, and every figure is theirs. DIR gets
summary.json, the rows with their log-ratios and weights (a.csv, b.csv, or rows.csv) and calibration.png. More:
docs/how-to/ratios.md""",
    "plot": """examples:
  contrastive plot runs/8gaussians-fce-glow
  contrastive plot runs/8gaussians-nce-gaussian runs/8gaussians-fce-glow --out report.html""",
    "list": """examples:
  contrastive list
  contrastive list noises""",
    "check": """examples:
  contrastive check gaussian
  contrastive check glow --dim 4 --noise.width 32
  contrastive check my_package.my_module:MyNoise --event-shape 3,8,8 --json
  contrastive check glow --only jacobian,normalization
  contrastive check glow --given 2
  contrastive check --list-checks""",
    "init-config": """examples:
  contrastive init-config > config.yaml
  contrastive init-config --noise glow --method fce --out config.yaml""",
}


_DOTTED = tuple(f"--{part}." for part in PARTS)
_LISTS = ("noises", "energies", "densities", "images", "objectives", "recipes")


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise ContrastiveError(f"{message} (see {self.prog} --help)")


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    parser = _Parser(
        prog="contrastive",
        description="Estimate energy-based models by noise contrastive estimation, the noise chosen by name.",
        epilog="Each command has --help with examples. Start with: contrastive fit --data 8gaussians",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"contrastive {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    def command(name: str, help: str) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=help,
            description=f"{help[0].upper()}{help[1:]}.",
            epilog=_EXAMPLES[name],
            usage=f"contrastive {name} [options]" if name in ("fit", "init-config") else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        made.set_defaults(parser=made)
        return made

    def add_allow_import(parser: Any) -> None:
        parser.add_argument(
            "--allow-import",
            action="store_true",
            help="let the noise 'distribution' import a class from outside torch.distributions: code that you trust",
        )

    fit = command("fit", "fit an energy-based model to data")
    add_config_options(fit)
    start = fit.add_argument_group("start and files")
    start.add_argument("--config", metavar="FILE", help="settings from a file; options given here win")
    start.add_argument("--resume", metavar="RUN", help="go on with an interrupted run, from its last checkpoint")
    start.add_argument("--overwrite", action="store_true", help="replace the run at --out, other files there stay")
    add_allow_import(start)
    start.add_argument("--no-report", action="store_true", help="leave out plots and report.html")
    start.add_argument("--quiet", action="store_true", help="print nothing but errors")

    evaluate = command("evaluate", "log-densities of a finished run at data")
    evaluate.add_argument("run", metavar="RUN")
    evaluate.add_argument("--data", help="a density, a file or images [the run's own test rows]")
    evaluate.add_argument("--columns", help="columns of a table [the run's]")
    evaluate.add_argument("--label-column", metavar="COLUMN", help="column of the classes [the run's, if it is there]")
    evaluate.add_argument(
        "--standard-errors", action="store_true", help="of the parameters of an energy such as gaussian, ica, rbm"
    )
    evaluate.add_argument(
        "--goodness",
        action="store_true",
        help="test the rows against samples of the model (docs/how-to/judge-a-fit.md)",
    )
    evaluate.add_argument("--goodness-level", type=float, metavar="LEVEL", help="false-alarm rate of that test [0.05]")
    evaluate.add_argument(
        "--goodness-plot", metavar="FILE", help="corner plot of rows and samples, PNG [RUN/plots/goodness.png]"
    )
    evaluate.add_argument(
        "--image-distances",
        type=int,
        metavar="N",
        help="Frechet and kernel distance of N noise samples from N training images (docs/how-to/image-measures.md)",
    )
    evaluate.add_argument(
        "--inception-weights", metavar="FILE", help="weights of InceptionV3: FID and KID in their place"
    )
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    add_allow_import(evaluate)

    predict = command("predict", "classes of new data, by a run that was fitted with labels")
    predict.add_argument("run", metavar="RUN")
    predict.add_argument("--data", required=True, help="a file like the one that was fitted, or a density")
    predict.add_argument("--columns", help="columns of a table [the run's]")
    predict.add_argument("--out", required=True, metavar="FILE", help=".csv or .npz")
    predict.add_argument("--overwrite", action="store_true", help="replace FILE")
    add_allow_import(predict)

    score = command("score", "log-densities of each row of a file, and how rare such rows are")
    score.add_argument("run", metavar="RUN")
    score.add_argument("--data", required=True, metavar="FILE", help="a table like the one that was fitted")
    score.add_argument("--columns", help="columns of the table [the run's]")
    score.add_argument("--out", required=True, metavar="FILE", help=".csv, .parquet or .npy")
    score.add_argument(
        "--top", type=int, default=0, metavar="N", help="print the N least likely rows, and which columns make them so"
    )
    score.add_argument("--resume", action="store_true", help="go on with a command that was stopped")
    score.add_argument("--overwrite", action="store_true", help="replace FILE")
    add_allow_import(score)

    context = "of a run fitted with --given: one context, as age=40,sex=1"
    sample = command("sample", "draw from the noise or the energy of a finished run")
    sample.add_argument("run", metavar="RUN")
    sample.add_argument("--from", dest="model", choices=("noise", "energy"), default="energy", help="[energy]")
    sample.add_argument("-n", type=int, default=1000, help="number of draws, for each context [1000]")
    sample.add_argument("--given", metavar="VALUES", help=f"{context}, or a file with a context a row [the data's]")
    sample.add_argument(
        "--out", required=True, metavar="FILE", help=".npy or .csv; of images .npz, .npy (uint8) or .png (a grid)"
    )
    sample.add_argument("--seed", type=int, default=0)
    sample.add_argument("--overwrite", action="store_true", help="replace FILE")
    add_allow_import(sample)
    chains = sample.add_argument_group("draws from the energy (docs/how-to/sampling.md)")
    chains.add_argument(
        "--sampler",
        metavar="NAME",
        help="mixed, imh, mala, hmc, latent-hmc, resampling [auto: mixed, imh if discrete]",
    )
    chains.add_argument("--chains", type=int, metavar="N", help="chains at once [20]")
    chains.add_argument("--warmup", type=int, metavar="N", help="transitions thrown away, step sizes adapted [100]")
    chains.add_argument("--thin", type=int, metavar="N", help="transitions from one kept draw to the next [1]")
    chains.add_argument("--label", type=int, metavar="K", help="one class of an energy of several [all]")
    chains.add_argument("--json", action="store_true", help="print the diagnostics as JSON")

    features = command("features", "activations of a finished run's energy at data, for a classifier to learn from")
    features.add_argument("run", metavar="RUN")
    features.add_argument("--data", help="a density, an image set, a file or a folder of images")
    features.add_argument("--part", choices=("train", "test"), default="train", help="of an image set that has both")
    features.add_argument("--columns", help="columns of a table, or the array of an .npz [the run's]")
    features.add_argument("--labels", metavar="NAME", help="a column of a table, or an array of an .npz [y of an .npz]")
    features.add_argument(
        "--layers",
        default="top",
        help="top: the last hidden layer; dcgan: the last three, pooled to 4 x 4; or names, comma-separated [top]",
    )
    features.add_argument("--pool", type=int, metavar="N", help="max-pool maps to N x N [dcgan: 4, else not at all]")
    features.add_argument("--batch-size", type=int, metavar="N", help="rows at once [500, fewer of large events]")
    features.add_argument("--out", metavar="FILE", help=".npz")
    features.add_argument("--overwrite", action="store_true", help="replace FILE")
    features.add_argument("--list-layers", action="store_true", help="name every layer of the energy")
    add_allow_import(features)

    normalizer = command("normalizer", "estimate log Z of a finished run, with an interval and a verdict")
    normalizer.add_argument("run", metavar="RUN")
    normalizer.add_argument(
        "--method", choices=("auto", "importance", "bridge", "annealing", "certified"), default="auto", help="[auto]"
    )
    normalizer.add_argument("--given", metavar="VALUES", help=f"{context}, whose log Z is wanted [all rows together]")
    normalizer.add_argument("--draws", type=int, default=100_000, help="draws of the noise [100000]")
    normalizer.add_argument("--level", type=float, default=0.95, help="of the interval [0.95]")
    normalizer.add_argument("--max-temperatures", type=int, default=512, help="of an annealed path [512]")
    hidden: dict[str, Any] = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
    normalizer.add_argument("--longest", dest="max_temperatures", type=int, **hidden)  # its name in version 0.1
    normalizer.add_argument("--seed", type=int, default=0)
    normalizer.add_argument("--json", action="store_true", help="print JSON")
    add_allow_import(normalizer)

    ratio = command("ratio", "log-ratio of two samples, or of a joint law to its margins: divergence, test, weights")
    ratio.add_argument("a", metavar="A", help="a table")
    ratio.add_argument("b", metavar="B", nargs="?", help="a table with the same columns")
    ratio.add_argument(
        "--independent", nargs=2, metavar=("X", "Y"), help="in place of B: columns of A, comma-separated, on each side"
    )
    ratio.add_argument("--columns", help="columns to compare, comma-separated [all]")
    ratio.add_argument("--objective", help="by name; options as --objective.NAME VALUE [nce]")
    ratio.add_argument("--energy", help="by name; options as --energy.NAME VALUE [mlp; telescoping: bridges]")
    ratio.add_argument("--steps", type=int, metavar="N", help="most updates; given, all are made [10000]")
    ratio.add_argument("--batch-size", type=int, metavar="N", help="rows of A per update [1000]")
    ratio.add_argument("--test", type=float, metavar="SHARE", help="of each table, held out for the figures [0.25]")
    ratio.add_argument("--level", type=float, default=0.95, help="of intervals; the test's is 1 less that [0.95]")
    ratio.add_argument("--seed", type=int, help="of splits, network and draws [0]")
    ratio.add_argument("--device", help="torch device [cpu]")
    ratio.add_argument("--out", metavar="DIR", help="keep figures, rows and plot there")
    ratio.add_argument("--overwrite", action="store_true", help="replace the ratio at --out")
    ratio.add_argument("--quiet", action="store_true", help="show no progress and no warnings")
    ratio.add_argument("--json", dest="json_output", action="store_true", help="print JSON")
    impute = command("impute", "draw the missing values of a table given the others, by a finished run")
    impute.add_argument("run", metavar="RUN")
    impute.add_argument("--data", required=True, metavar="FILE", help="a table like the one that was fitted, with gaps")
    impute.add_argument("--out", required=True, metavar="FILE", help=".csv or .parquet")
    impute.add_argument("--draws", type=int, default=1, metavar="N", help="tables to draw [1]")
    impute.add_argument("--proposals", type=int, default=64, metavar="N", help="tries of each row at each step [64]")
    impute.add_argument("--warmup", type=int, default=10, metavar="N", help="steps before the first draw [10]")
    impute.add_argument("--thin", type=int, default=3, metavar="N", help="steps from one draw to the next [3]")
    impute.add_argument("--seed", type=int, default=0)
    impute.add_argument("--overwrite", action="store_true", help="replace FILE")
    add_allow_import(impute)

    schema = command("schema", "show the kinds of a table's columns, as a fit would take them")
    schema.add_argument("data", metavar="DATA", help="a .csv, .tsv, .parquet, .npy or .npz file, or a run")
    for name in ("columns", "categorical", "integer", "continuous", "positive", "bounded", "circular"):
        schema.add_argument(f"--{name}", metavar=name.upper(), help=SETTINGS[f"data.{name}"].help)
    schema.add_argument("--json", action="store_true", help="print JSON")

    plot = command("plot", "write the report of finished runs")
    plot.add_argument("runs", metavar="RUN", nargs="+")
    plot.add_argument("--out", metavar="FILE", help="[RUN/report.html, or report.html for several runs]")
    add_allow_import(plot)

    listing = command("list", "name what can be chosen")
    listing.add_argument("what", nargs="?", choices=_LISTS, help="[all]")

    check = command("check", "prove a noise or an energy right, with the conformance kit")
    check.add_argument("name", metavar="NAME", nargs="?", help="a registered name, or module:factory")
    size = check.add_mutually_exclusive_group()
    size.add_argument("--dim", type=int, default=2, help="length of a data vector [2]")
    size.add_argument("--event-shape", metavar="SHAPE", help="shape of a data point, such as 3,32,32")
    check.add_argument("--kind", choices=("noise", "energy"), help="[what the name is registered as]")
    check.add_argument("--given", type=int, metavar="K", help="check q(x | y), with K columns y given")
    check.add_argument("--only", metavar="CHECKS", help="these checks, separated by commas [all]")
    check.add_argument("--seed", type=int, default=0)
    check.add_argument("--json", dest="json_output", action="store_true", help="print JSON")
    check.add_argument("--list-checks", action="store_true", help="name every check and what it proves")
    add_allow_import(check)

    init = command("init-config", "print a config file with every setting explained")
    add_config_options(init)
    init.add_argument("--config", metavar="FILE", help="settings from a file; options given here win")
    init.add_argument("--to", metavar="FILE", help="write here instead of standard output")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 where a check failed, 2 for what the user can mend, 130 for Ctrl-C."""
    try:
        known, rest = build_parser().parse_known_args(arguments)
        given: dict[str, Any] = vars(known)
        given.pop("_named", None)
        name, parser = given.pop("command"), given.pop("parser")
        takes_dotted = name in ("fit", "init-config", "check", "ratio")
        _refuse_unknown(rest, parser, _DOTTED if takes_dotted else ())
        if takes_dotted:
            given["dotted"] = rest
        module = import_module(f"contrastive.cli.{name.replace('-', '_')}")
        with _warnings_as_lines(quiet=bool(given.get("quiet"))):
            return module.run(**given) or 0
    except ContrastiveError as error:
        print(f"contrastive: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("contrastive: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `contrastive list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _options_of(parser: argparse.ArgumentParser) -> list[str]:
    return [option for action in parser._actions for option in action.option_strings]


@contextmanager
def _warnings_as_lines(*, quiet: bool) -> Iterator[None]:
    """Show the library's warnings as one line each, every time, or not at all; those of others stay as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if quiet else "always", ContrastiveWarning)
        shown = warnings.showwarning

        def show(message: Any, category: type[Warning], *place: Any) -> None:
            if issubclass(category, ContrastiveWarning):
                print(f"contrastive: warning: {' '.join(str(message).split())}", file=sys.stderr)
            else:
                shown(message, category, *place)

        warnings.showwarning = show  # type: ignore[assignment]
        yield


def _refuse_unknown(words: list[str], parser: argparse.ArgumentParser, dotted: tuple[str, ...]) -> None:
    """An error for the first word that is no option, and no dotted option or its value."""
    for word in words:
        if dotted and (word.startswith(dotted) or not word.startswith("--")):
            continue
        hint = near(word.partition("=")[0], _options_of(parser), 0.75)
        raise ContrastiveError(f"unknown argument {word!r}{'; ' + hint if hint else ''} (see {parser.prog} --help)")


if __name__ == "__main__":
    sys.exit(main())
