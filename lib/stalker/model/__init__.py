"""The words of stalker as frozen data; standard library only."""
