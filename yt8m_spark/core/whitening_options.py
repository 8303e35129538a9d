"""What of a covariance a whitening keeps, and how (paper §4.2.2)."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

__all__ = ["METHODS", "Method", "WhiteningOptions", "check_varies"]

Method = Literal["pca", "zca", "none"]
METHODS: tuple[Method, ...] = get_args(Method)


class WhiteningOptions(NamedTuple):
    """What of the covariance to keep, and how."""

    n_components: int | None = None
    explained_variance: float | None = None
    ridge: float = 10.0
    method: Method = "pca"
    l2_normalize: bool = True

    @property
    def keeps_all(self) -> bool:
        """Whether nothing says how many components are kept, so that all are that can be."""
        return self.n_components is None and self.explained_variance is None

    def check_width(self, width: int) -> None:
        """Refuse components that D = ``width`` features do not have.

        Raises
        ------
        ValueError
            If there are more, or less than one.
        """
        if self.n_components is not None and not 1 <= self.n_components <= width:
            raise ValueError(f"n_components must be 1 to {width}, got {self.n_components}")

    def check(self) -> None:
        """Refuse what is out of range.

        Raises
        ------
        ValueError
            If a value is out of range, or two are given of which one makes no sense.
        """
        share = self.explained_variance
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {self.method}")
        if self.n_components is not None and self.n_components < 1:
            raise ValueError(f"n_components must be at least 1, got {self.n_components}")
        if share is not None and not 0 < share <= 1:
            raise ValueError(f"explained_variance must be above 0 and at most 1, got {share}")
        if share is not None and self.n_components is not None:
            raise ValueError("give n_components or explained_variance, not both")
        if not self.ridge >= 0:
            raise ValueError(f"ridge must be at least 0, got {self.ridge}")
        if self.method == "none" and not self.keeps_all:
            raise ValueError("method none keeps all features: give no n_components and no share")


def check_varies(total_variance: float, n: int) -> None:
    """Refuse rows that are all the same.

    Raises
    ------
    ValueError
        If there is no variance over the ``n`` videos.
    """
    if total_variance <= 0:
        raise ValueError(f"features do not vary over {n} videos; nothing to whiten")
