"""The command line: talks to Temporal, shows what incidents do, and hands people's decisions to them."""
