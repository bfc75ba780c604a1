"""python-dotenv, as far as plain lines go."""

import os


def dotenv_values(path=".env"):
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as stream:
        return dict(line.strip().split("=", 1) for line in stream if "=" in line)


def load_dotenv(path=".env", override=False):
    for key, value in dotenv_values(path).items():
        if override or key not in os.environ:
            os.environ[key] = value
    return True
