"""The model card of a predictor, written from what the training measured."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gennas.part_files import changed_flags
from gennas.predictors.settings import PredictorTraining


def predictor_card(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Markdown for ``predictor/README.md``.

    Args:
        config: the checkpoint's configuration.
        metrics: the checkpoint's measured metrics, as ``train_predictor`` makes them.
    """
    held, whole, training = metrics["held_out"], metrics["whole_table"], config["training"]
    latencies = [values for name, values in held["metrics"].items() if name.startswith("latency_ms@")]
    flags = changed_flags(training, asdict(PredictorTraining()))
    lines = [
        f"# Predictor for {config['space']}",
        "",
        f"Trained by gennas {config['gennas']}: `gennas pretrain predictor --space {config['space']} "
        f"--table {config['table']}{flags} --seed {config['seed']}`; `metrics.json` beside it has every number.",
        "",
        f"Predicts {len(config['metrics'])} metrics of decided and partly masked archs, each with its std: a deep "
        f"ensemble of {config['predictor']['members']} graph networks, trained for {training['steps']:,} steps of "
        f"{training['batch_size']} archs. Accuracies are validation accuracies; no test accuracy was seen.",
        "",
        f"**Held-out**: a twin trained on {held['labels']:,} random archs (seed {held['seed']}, a tenth of them kept "
        "for calibration) and tested on all others; the command above, in that version, trains it again. **Whole "
        f"table**: the predictor in this folder, trained on {whole['labels']:,} archs (a tenth of them kept for "
        "calibration), on these same archs; not an estimate of how well it generalises.",
        "",
    ]
    lines += _curve(metrics["few_labels"])
    if latencies:
        spearman = [values["spearman"] for values in latencies]
        lines += [
            f"Held-out Spearman of latency over {len(latencies)} devices: mean {sum(spearman) / len(spearman):.3f}, "
            f"lowest {min(spearman):.3f}.",
            "",
        ]
    lines += [
        "| metric | held-out Kendall tau | held-out Spearman | held-out 90 % interval covers | held-out mean error "
        "| whole-table Kendall tau | whole-table 90 % interval covers |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, values in held["metrics"].items():
        seen = whole["metrics"][name]
        lines.append(
            f"| `{name}` | {values['kendall_tau']:.3f} | {values['spearman']:.3f} | {values['coverage90']:.1%} "
            f"| {values['mean_absolute_error']:.3g} | {seen['kendall_tau']:.3f} | {seen['coverage90']:.1%} |"
        )
    return "\n".join(lines) + "\n"


def _curve(few: Mapping[str, Any]) -> list[str]:
    """How well few labels do, as a table."""
    if not few["curve"]:
        return []
    seeds = len(few["curve"][0]["kendall_tau"])
    return [
        f"**Few labels**: Kendall tau on `{few['metric']}` of all others among {few['archs']:,} archs, by the model "
        "that teaches the network where labels are few (Gaussian processes and trees on features of the graph), over "
        f"{seeds} draws of the labels.",
        "",
        "| labels | Kendall tau |",
        "| --- | --- |",
        *(f"| {point['labels']} | {point['mean']:.3f} +- {point['std']:.3f} |" for point in few["curve"]),
        "",
    ]
