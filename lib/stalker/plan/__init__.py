"""Graph, fingerprints, verdicts with reasons, and the state machine of a run; pure."""
