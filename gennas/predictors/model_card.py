"""The model card of a predictor, generated from its training metrics."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gennas.commands import command
from gennas.part_files import changed_flags
from gennas.predictors.labels import MIN_CALIBRATION_LABELS
from gennas.predictors.settings import PredictorTraining
from gennas.spaces import address_of, registered_space


def predictor_card(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Markdown for ``predictor/README.md``.

    Args:
        config: the checkpoint's configuration.
        metrics: the checkpoint's metrics, as computed by ``train_predictor``.
    """
    held, whole, training = metrics["held_out"], metrics["whole_table"], config["training"]
    latencies = [values for name, values in held["metrics"].items() if name.startswith("latency_ms@")]
    table = config.get("table_file", config["table"])
    flags = changed_flags(training, asdict(PredictorTraining()))
    made = command(
        "pretrain",
        "predictor",
        space=address_of(registered_space(config["space"])),
        table=table,
        held_out_labels=config.get("held_out_labels"),
        curve_seeds=config.get("curve_seeds"),
    )
    lines = [
        f"# Predictor for {config['space']}",
        "",
        f"Trained by gennas {config['gennas']}: `{made}{flags} --seed {config['seed']}`; see `metrics.json` for all "
        "numbers.",
        "",
        f"Predicts mean and std of {len(config['metrics'])} metrics for decided and partly masked archs: "
        f"{_networks(config, whole['labels'])}. {_accuracies(config)}",
        "",
        f"**Held-out**: another predictor, trained on {held['labels']:,} random archs (seed {held['seed']}"
        f"{_calibration('; ', held['labels'])}) and tested on all others; the command above reproduces it. "
        f"**Whole table**: the predictor in this folder, trained on {whole['labels']:,} archs"
        f"{_calibration(' (', whole['labels'], ')')} and tested on the same archs; not an estimate of its "
        "generalisation.",
        "",
    ]
    lines += _curve(metrics["few_labels"])
    spearman = [values["spearman"] for values in latencies if not math.isnan(values["spearman"])]
    if spearman:
        lines += [
            f"Held-out Spearman of latency over {len(spearman)} devices: mean {sum(spearman) / len(spearman):.3f}, "
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
            f"| `{name}` | {_ranked(values['kendall_tau'])} | {_ranked(values['spearman'])} "
            f"| {values['coverage90']:.1%} | {values['mean_absolute_error']:.3g} "
            f"| {_ranked(seen['kendall_tau'])} | {seen['coverage90']:.1%} |"
        )
    return "\n".join(lines) + "\n"


def _ranked(correlation: float) -> str:
    """A rank correlation; labels that are all equal have none."""
    return "-" if math.isnan(correlation) else f"{correlation:.3f}"


def _accuracies(config: Mapping[str, Any]) -> str:
    """What accuracies were learnt, in a sentence."""
    if any(name.startswith("accuracy@") for name in config["metrics"]):
        return "Accuracies are validation accuracies; test accuracies were not used."
    return "No accuracies are known, so that none are predicted."


def _networks(config: Mapping[str, Any], labels: int) -> str:
    """What predicts, in words."""
    if config.get("class") == "mlp" and labels >= config["training"]["few"]:
        training = config["training"]
        return (
            f"an ensemble of {config['predictor']['members']} small networks over the decisions of an arch, trained for"
            f" {training['steps']:,} steps with a batch size of {training['batch_size']}"
        )
    if config.get("class") == "mlp":
        return (
            "a small network over the decisions of an arch, distilled in seconds from a model of few labels (Gaussian "
            "processes and trees on graph features)"
        )
    training = config["training"]
    return (
        f"a deep ensemble of {config['predictor']['members']} graph networks, trained for {training['steps']:,} steps "
        f"with a batch size of {training['batch_size']}"
    )


def _calibration(before: str, labels: int, after: str = "") -> str:
    """What else was done with the labels, in words; nothing with few."""
    return f"{before}a tenth used for calibration{after}" if labels >= MIN_CALIBRATION_LABELS else ""


def _curve(few: Mapping[str, Any]) -> list[str]:
    """Kendall tau by the number of labels, as a table."""
    if not few["curve"]:
        return []
    seeds = len(few["curve"][0]["kendall_tau"])
    return [
        f"**Few labels**: Kendall tau of the teacher model (Gaussian processes and trees on graph features, which the "
        f"network is distilled from if labels are few), on `{few['metric']}` of the unlabelled ones of "
        f"{few['archs']:,} archs; mean and std over {seeds} draws of the labels.",
        "",
        "| labels | Kendall tau |",
        "| --- | --- |",
        *(f"| {point['labels']} | {point['mean']:.3f} +- {point['std']:.3f} |" for point in few["curve"]),
        "",
    ]
