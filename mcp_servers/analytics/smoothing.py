"""Exponential smoothing (ETS) by statsmodels. Slow and large to import: only a forecast does."""

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from statsmodels.tsa.exponential_smoothing.ets import ETSModel  # type: ignore[import-untyped]

Floats = NDArray[np.float64]

LONG_HISTORY = 16
LEAST_FREEDOM = 3
# Intervals come from this many futures, spread over this many refitted versions of the model.
FUTURES, VERSIONS, REFIT_STEPS = 5_000, 20, 25
SEED = 20_240_229


class NoFitError(Exception):
    """No model of the family can be estimated from the series."""


@dataclass(frozen=True)
class Shape:
    """An ETS model: additive or multiplicative error and season, which trend, periods of a season or 0."""

    error: str
    trend: str | None
    damped: bool
    season: int

    @property
    def name(self) -> str:
        """As in the literature: ETS(M,Ad,M)."""
        letter = {"add": "A", "mul": "M"}[self.error]
        trend = "N" if self.trend is None else "Ad" if self.damped else "A"
        return f"ETS({letter},{trend},{letter if self.season else 'N'})"

    def model(self, values: Floats) -> Any:
        return ETSModel(
            values,
            error=self.error,
            trend=self.trend,
            damped_trend=self.damped,
            seasonal=self.error if self.season else None,
            seasonal_periods=self.season or None,
        )


@dataclass(frozen=True)
class Fit:
    """A shape fitted to values that were divided by `scale`."""

    shape: Shape
    result: Any
    scale: float

    @property
    def freedom(self) -> int:
        """Observations less estimated parameters."""
        return int(self.result.nobs) - len(self.result.params)

    @property
    def converged(self) -> bool:
        return bool(self.result.mle_retvals["converged"])

    @property
    def usable(self) -> bool:
        finite = math.isfinite(self.result.aicc) and np.isfinite(self.result.forecast(1)).all()
        return self.freedom >= LEAST_FREEDOM and bool(finite)

    def ahead(self, horizon: int) -> Floats:
        """Point forecasts, shape (horizon,)."""
        return np.asarray(self.result.forecast(horizon)) * self.scale

    def errors(self, random: np.random.Generator, *shape: int) -> Floats:
        """Random errors of the fitted size, which the likelihood's own variance understates."""
        deviation = math.sqrt(float(np.sum(self.result.resid**2)) / self.freedom)
        return random.standard_normal(shape) * deviation


@dataclass(frozen=True)
class Futures:
    """Point forecasts, shape (horizon,), and simulated paths, shape (horizon, FUTURES)."""

    points: Floats
    paths: Floats

    def interval(self, first: int, last: int, percent: float) -> tuple[float, float, float]:
        """Point forecast, lower and upper bound of the sum over the steps `first` up to before `last`."""
        tail = (1 - percent / 100) / 2
        point = float(self.points[first:last].sum())
        low, high = np.quantile(self.paths[first:last].sum(axis=0), [tail, 1 - tail])
        # The point forecast is no quantile: beside a skewed distribution it may lie just outside.
        return point, min(float(low), point), max(float(high), point)

    @property
    def reaches_below_zero(self) -> bool:
        return bool((np.quantile(self.paths, 0.005, axis=1) < 0).any() or (self.points < 0).any())

    def cut_at_zero(self) -> "Futures":
        return Futures(np.maximum(self.points, 0), np.maximum(self.paths, 0))


def fit(values: list[float], per_year: int) -> Fit:
    """The best model for a series with `per_year` values a year. Raises NoFitError."""
    for group in _candidates(values, per_year):
        fits = [each for shape in group if (each := _fit(shape, values)).usable]
        if fits:
            return min(fits, key=lambda each: float(each.result.aicc))
    raise NoFitError


def simulate(fitted: Fit, horizon: int) -> Futures:
    """Futures of several equally likely versions of the model, since its parameters are only estimates.

    In back-tests, 95 % intervals from one version held only 75 to 90 % of the yearly totals.
    """
    random = np.random.default_rng(SEED)
    each = FUTURES // VERSIONS
    with np.errstate(all="ignore"):
        paths = [
            _version(fitted, random).simulate(
                horizon, anchor="end", repetitions=each, random_errors=fitted.errors(random, horizon, each)
            )
            for _ in range(VERSIONS)
        ]
    return Futures(fitted.ahead(horizon), np.concatenate(paths, axis=1) * fitted.scale)


def held_out_error(shape: Shape, values: list[float], least: int) -> tuple[int, float] | None:
    """How many last values were held out, and by how many percent of their sum the model missed them.

    None when fewer than `least` values would remain, or too few for the model.
    """
    held = shape.season or max(1, len(values) // 5)
    known, actual = values[:-held], np.asarray(values[-held:])
    if len(known) < max(least, 2 * shape.season) or min(known) == max(known) or not actual.any():
        return None
    fitted = _fit(shape, known)
    if not fitted.usable:
        return None
    return held, float(np.abs(fitted.ahead(held) - actual).sum() / np.abs(actual).sum() * 100)


def _candidates(values: list[float], per_year: int) -> list[list[Shape]]:
    """Groups of shapes, in the order in which they are tried.

    Seasonal with two full years. A short history gets a damped trend, since it shows too little for the
    criterion to choose one; with a longer history the criterion decides.
    """
    errors = ["add", "mul"] if min(values) > 0 else ["add"]
    season = per_year if per_year > 1 and len(values) >= 2 * per_year else 0
    flat, damped, straight = (None, False), ("add", True), ("add", False)

    def shapes(season: int, *trends: tuple[str | None, bool]) -> list[Shape]:
        return [Shape(error, *trend, season) for error, trend in product(errors, trends)]

    if len(values) >= max(3 * season, LONG_HISTORY):
        return [shapes(season, flat, damped, straight)]
    return [shapes(season, damped), shapes(season, flat), shapes(0, damped)]


def _fit(shape: Shape, values: list[float]) -> Fit:
    scale = float(np.mean(np.abs(values)))
    # Whether it converged is told in the notes; numbers that overflow on the way make it unusable.
    with np.errstate(all="ignore"):
        result = shape.model(np.asarray(values) / scale).fit(disp=False, warn_convergence=False)
    return Fit(shape, result, scale)


def _version(fitted: Fit, random: np.random.Generator) -> Any:
    """The model with the parameters that another, simulated past of the same length would have given."""
    result = fitted.result
    steps = int(result.nobs)
    past = np.ravel(result.simulate(steps, anchor="start", random_errors=fitted.errors(random, steps, 1)))
    if fitted.shape.error == "mul" and past.min() <= 0:
        return result
    parameters = fitted.shape.model(past).fit(
        start_params=result.params,
        maxiter=REFIT_STEPS,
        disp=False,
        warn_convergence=False,
        return_params=True,
    )
    version = result.model.smooth(parameters)
    return version if np.isfinite(version.forecast(1)).all() else result
