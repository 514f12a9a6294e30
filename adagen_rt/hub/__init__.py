"""Published files by name: from a hub into its shared cache, checked before they are used."""

from adagen_rt.hub.pull import Got, Pulled, pull

__all__ = ["Got", "Pulled", "pull"]
