"""A pool of attempts: operators make new ones of those there are, a chooser says which comes next."""
