"""optax's second namespace: what `optax.contrib` holds, under the same names; all of it is in `lrjax` too."""

from lrjax.schedules import reduce_on_plateau

__all__ = ["reduce_on_plateau"]
