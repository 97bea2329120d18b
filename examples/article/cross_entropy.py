"""Cross-entropy: the loss -sum(y log p) of probabilities p against classes y, and its gradient, by which a classifier
is trained.

python examples/article/cross_entropy.py
"""

from __future__ import annotations

from typing import Any

from device import on_host, xp


def one_hot(labels: Any, classes: int) -> Any:
    """Labels (n) -> (n, classes), 1 where the label is and 0 elsewhere."""
    return (labels[:, None] == xp.arange(classes)).astype(xp.float64)


def log_softmax(scores: Any) -> Any:
    """log(softmax(scores)) along the last axis, by log p = s - log(sum(exp(s))): no logarithm of 0."""
    away = scores - scores.max(-1, keepdims=True)
    return away - xp.log(xp.exp(away).sum(-1, keepdims=True))


def cross_entropy(scores: Any, labels: Any) -> Any:
    """The mean over samples of -sum(y log p), for scores (n, classes) and labels (n)."""
    return -(one_hot(labels, scores.shape[1]) * log_softmax(scores)).sum(-1).mean()


def gradient(scores: Any, labels: Any) -> Any:
    """Of `cross_entropy` by the scores: (p - y) / n."""
    return (xp.exp(log_softmax(scores)) - one_hot(labels, scores.shape[1])) / len(labels)


def trained(samples: Any, labels: Any, classes: int, steps: int = 300, rate: float = 1.0) -> Any:
    """Weights (features + 1, classes) of a dense layer, by steps down the gradient; the last row is the bias."""
    inputs = xp.concatenate([samples, xp.ones((len(samples), 1))], 1)
    weights = xp.zeros((inputs.shape[1], classes))
    for _ in range(steps):
        weights -= rate * inputs.T @ gradient(inputs @ weights, labels)
    return weights


def predicted(samples: Any, weights: Any) -> Any:
    """The class of each sample."""
    return (samples @ weights[:-1] + weights[-1]).argmax(-1)


if __name__ == "__main__":
    rng = xp.random.default_rng(0)
    centres = xp.array([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])
    labels = xp.arange(300) % 3
    samples = centres[labels] + rng.standard_normal((300, 2)) * 0.7
    weights = trained(samples, labels, 3)
    right = float((predicted(samples, weights) == labels).mean())
    loss = float(cross_entropy(samples @ weights[:-1] + weights[-1], labels))
    print(f"before: loss {float(cross_entropy(xp.zeros((300, 3)), labels)):.4f} (log 3); after: {loss:.4f}")
    print(f"{right:.1%} of samples get their class; weights\n{on_host(weights).round(2)}")
