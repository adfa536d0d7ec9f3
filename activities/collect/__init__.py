"""Collects what is known about pods before anything is deleted (guide P6).

`registry.COLLECTORS` lists the collectors; each family has a file of its own. A collector describes its artefacts, and
the recorder alone writes them into the store and says what became of each.
"""

from activities.collect.activity import Collecting

__all__ = ["Collecting"]
