"""Findings that the demo rewrites. Published by aws-samples/cdk-eks-blueprints-patterns under MIT-0."""
