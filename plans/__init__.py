"""What should be done about a finding. Pure: (Finding, Observed, Policy) → Plan, no I/O.

`model` holds the Plan, `observed` what the world looked like, `policy` what the operator allows, `routing` which
paths a finding opens, `planner` puts them together.
"""
