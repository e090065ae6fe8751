"""Figure of the pseudo-labels' reliability: how often they
are right, over the teacher's confidence.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

from semipose.reporting.figures import binned
from semipose.reporting.results import Grid, Key
from semipose.reporting.style import Picture, Styles, legend_of, panels_of, styled

RIGHT = 0.1  # of the box: the distance within which a pseudo-label counts as right, as in the curves of training
SIGNALS = {
    "peak": "height of the heatmap's peak",
    "disagreement": "distance between two weak views (box sizes)",
    "spread": "the method's own uncertainty",
}


@styled
def calibration(keypoints: Mapping[Key, Mapping[str, Sequence[float]]], grid: Grid, styles: Styles) -> Picture | None:
    """Share of right pseudo-labels over each signal, in ten equally filled bins of keypoints of all
    seeds; a row of panels per budget.

    `keypoints` has the columns of each run's pseudo_labels.csv (semipose/training/reliability.py).
    """
    budgets_run = [labels for labels in grid.labels if any(key[1] == labels for key in keypoints)]
    signals = [name for name in SIGNALS if any(np.isfinite(columns[name]).any() for columns in keypoints.values())]
    if not budgets_run or not signals:
        return None
    figure, panels = panels_of(len(budgets_run), len(signals), (1.8 + 3.2 * len(signals), 3.1), share=True)
    words = []
    for axes, (labels, signal) in zip(panels, ((labels, signal) for labels in budgets_run for signal in signals), strict=True):
        for method in grid.methods:
            pooled = [columns for key, columns in keypoints.items() if key[:2] == (method, labels)]
            both = np.array([[x for columns in pooled for x in columns[name]] for name in (signal, "error")], dtype=float)
            sure, error = both[:, np.isfinite(both).all(axis=0)]
            if not sure.size:
                continue
            right = (error <= RIGHT).astype(float)
            x, y, deviation = binned(sure, right, 10)
            axes.errorbar(x, y, yerr=deviation, **styles[method]._asdict(), markersize=5, capsize=2, label=method)
            told = f"AUROC {separation(sure if signal == 'peak' else -sure, right > 0):.2f}"
            if signal == "peak":
                told += f", calibration error {calibration_error(sure, right):.2f}"
            words.append(f"{labels} {method}, {signal}: {told}")
        if signal == "peak":
            axes.plot([0, 1], [0, 1], color="#999999", linestyle=":", linewidth=1)
        axes.set(xlabel=SIGNALS[signal], title=labels, ylim=(0, 1.02))
    for axes in panels[:: len(signals)]:
        axes.set_ylabel(f"share within {RIGHT:g} of the box")
    legend_of(figure, panels)
    caption = (
        "Reliability of the pseudo-labels at the end of training, on unlabelled people whose labels are known. "
        "Ten groups of equally many keypoints with their standard errors; dotted: a peak that says how often it is right. "
        "AUROC (1: it tells right from wrong, 0.5: it does not) and mean distance to the dotted line: " + "; ".join(words) + "."
    )
    return Picture("calibration", figure, caption, f"Line charts of right pseudo-labels. {'; '.join(words)}.")


def separation(sure: np.ndarray, right: np.ndarray) -> float:
    """Compute how likely a right pseudo-label has more confidence than a wrong one (AUROC).

    Args:
        sure: Confidence, [N]; equal ones count half.
        right: [N] bool.

    Returns:
        0-1; NaN if all are right or all are wrong.
    """
    hits = int(right.sum())
    misses = right.size - hits
    if not hits or not misses:
        return float("nan")
    return float((rankdata(sure)[right].sum() - hits * (hits + 1) / 2) / (hits * misses))


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Compute the mean distance between confidence and share of right pseudo-labels.

    The mean is over ten equally filled bins.

    Args:
        confidence: [N]; clipped to 0 ... 1.
        right: [N], 0 or 1.
    """
    x, y, _ = binned(confidence.clip(0, 1), right, 10)
    sizes = [part.size for part in np.array_split(confidence, max(1, min(10, confidence.size)))]
    return float(np.average(np.abs(x - y), weights=sizes))
