"""The life of a container: sessions, steps, the scheduler, locks, and what a killed run left."""
