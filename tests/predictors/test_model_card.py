"""The card of a predictor repeats its metrics, and invents none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gennas.predictors.model_card import predictor_card


def test_what_ranks_nothing_has_no_correlation(tiny_checkpoint: Path) -> None:
    config, metrics = (
        json.loads((tiny_checkpoint / "predictor" / name).read_text()) for name in ("config.json", "metrics.json")
    )
    assert "| - |" not in predictor_card(config, metrics)
    latencies = {name: v for name, v in metrics["held_out"]["metrics"].items() if name.startswith("latency_ms@")}
    constant = next(iter(latencies))
    _unranked(latencies[constant])
    card = predictor_card(config, metrics)
    assert f"| `{constant}` | - | - | " in card
    assert "nan" not in card
    rest = [values["spearman"] for name, values in latencies.items() if name != constant]
    assert (f"Held-out Spearman of latency over {len(rest)} devices" in card) == bool(rest)
    for values in latencies.values():
        _unranked(values)
    assert "Held-out Spearman" not in predictor_card(config, metrics)


def _unranked(values: dict[str, Any]) -> None:
    values.update(kendall_tau=float("nan"), spearman=float("nan"))
