"""The report of a distillation as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from distill.gate import ArmResult, Decision, SuiteResult
from distill.registry import AdapterManifest
from distill.stats import Interval
from distill.train import Trained
from distill.types import Dataset
from memory.types import Json


def report_json(
    manifest: AdapterManifest,
    decision: Decision,
    results: Sequence[SuiteResult],
    dataset: Dataset,
    trained: Trained,
) -> dict[str, Json]:
    """`report.json` of a job that ran to its end."""
    return {
        "adapter": manifest.id,
        **gate_json(results, decision),
        "dataset": {
            "hash": dataset.hash,
            "rows": len(dataset.rows),
            "tokens": trained.tokens,
            "episodes": len(dataset.episodes),
            "rejected": [{"episode": r.episode, "reason": r.reason} for r in dataset.rejected],
        },
        "train": {
            "settings": manifest.settings,
            "updates": trained.updates,
            "seconds": round(trained.seconds, 2),
            "first_loss": round(trained.first_loss, 4),
            "last_loss": round(trained.last_loss, 4),
        },
    }


def gate_json(results: Sequence[SuiteResult], decision: Decision) -> dict[str, Json]:
    """Verdict, arms and differences; kept with the adapter too."""
    return {
        "promoted": decision.promoted,
        "reason": decision.reason,
        "arms": {r.suite.name: {arm: _arm(result) for arm, result in r.arms.items()} for r in results},
        "difference": {
            r.suite.name: {
                "role": r.suite.role,
                "success": round(r.difference.mean, 4),
                "ci": _ci(r.difference),
                "pairs": r.n_pairs,
                "p": round(r.p_value, 5),
            }
            for r in results
        },
    }


def _arm(result: ArmResult) -> dict[str, Json]:
    return {
        "success": round(result.success.mean, 4),
        "ci": _ci(result.success),
        "steps": round(result.steps.mean, 3),
        "steps_ci": _ci(result.steps),
        "n": result.n,
        "broken": result.n_broken,
    }


def _ci(interval: Interval) -> list[Json]:
    return [round(interval.low, 4), round(interval.high, 4)]
