"""The stand-in for AWS: moto's server, and in front of it the calls that moto lacks, one file a service.

``registry`` says which calls are ours, ``shapes`` holds requests and answers to botocore's own service models, ``app``
joins both with moto behind one endpoint URL, ``server`` runs it, ``prepare`` fills it with the demo's account.
"""
