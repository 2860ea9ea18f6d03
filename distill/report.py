"""The report of a distillation as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from distill.decision import Decision
from distill.gate import ArmResult, SuiteResult
from distill.manifest import AdapterManifest
from distill.retention import Learned, Matrix, Score, area, matrix
from distill.stats import Interval
from distill.suites import Frozen
from distill.train import Trained
from distill.types import Dataset
from memory.types import Json


def report_json(
    manifest: AdapterManifest,
    gate: dict[str, Json],
    dataset: Dataset,
    trained: Trained,
) -> dict[str, Json]:
    """`report.json` of a job that ran to its end; `gate` as `gate_json` makes it."""
    return {
        "adapter": manifest.id,
        **gate,
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
            "seconds_per_point": _per_point(trained.seconds, gate),
        },
    }


def _per_point(seconds: float, gate: dict[str, Json]) -> float | None:
    """Seconds of training for each percentage point gained on the suites to adapt to; None without gain."""
    told = gate["difference"]
    assert isinstance(told, dict)
    gains = [one["success"] for one in told.values() if isinstance(one, dict) and one["role"] == "adapt"]
    gain = sum(float(str(one)) for one in gains)
    return round(seconds * len(gains) / (100 * gain), 3) if gain > 0 else None


def gate_json(
    results: Sequence[SuiteResult], decision: Decision, history: Sequence[Learned] = ()
) -> dict[str, Json]:
    """Verdict, arms, differences and retention; kept with the adapter too.

    `history`: the distillations that R is of, the judged one last.
    """
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
                "violations": round(r.violations.mean, 4),
                "violations_ci": _ci(r.violations),
            }
            for r in results
        },
        "retention": retention_json(matrix(history), [one.n_episodes for one in history]) if history else {},
    }


def retention_json(found: Matrix, n_episodes: Sequence[int]) -> dict[str, Json]:
    """R and what is read off it; adaptation is the area under success over episodes."""
    curve = found.curve((0, *n_episodes))
    return {
        "rows": list(found.rows),
        "suites": list(found.columns),
        "matrix": [[_rounded(one) for one in row] for row in found.scores],
        "bwt": _rounded(found.backward()),
        "fgt": _rounded(found.forgetting()),
        "fwt": _rounded(found.forward()),
        "curve": [[n, round(success, 4)] for n, success in curve],
        "adaptation": _rounded(area(curve)),
    }


def scores_of(suites: Sequence[Frozen], results: Sequence[SuiteResult]) -> tuple[Score, ...]:
    """What the registry keeps of the gate, for distillations to come."""
    return tuple(
        Score(
            one.suite,
            one.seeds,
            one.digest,
            result.arms["base"].success.mean,
            result.arms["+adapter"].success.mean,
        )
        for one, result in zip(suites, results, strict=True)
    )


def _arm(result: ArmResult) -> dict[str, Json]:
    return {
        "success": round(result.success.mean, 4),
        "ci": _ci(result.success),
        "steps": round(result.steps.mean, 3),
        "steps_ci": _ci(result.steps),
        "n": result.n,
        "broken": result.n_broken,
        "violations": round(result.violations.mean, 4),
        "tokens_per_success": _rounded(result.tokens_per_success),
        "steps_per_success": _rounded(result.steps_per_success),
    }


def _ci(interval: Interval) -> list[Json]:
    return [round(interval.low, 4), round(interval.high, 4)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
