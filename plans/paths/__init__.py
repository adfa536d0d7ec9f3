"""The steps of each path, one module a path: (Situation) → Drafts, in the order in which they are carried out.

A module says what would be done, to what, and what undoes it. Whether it is done, `plans.drafts` decides.
"""
