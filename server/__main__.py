"""`python -m server` is `apprentice`."""

from server.cli import app

if __name__ == "__main__":
    app()
