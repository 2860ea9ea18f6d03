"""From a situation to what is shown: search, ranking, choice, replay, encoder generations."""
