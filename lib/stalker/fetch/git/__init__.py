"""Git repositories: branches and tags resolved, commits fetched into mirrors of the user's cache, checkouts."""
