"""`python -m mic_det` is the command `mic-det`."""

from mic_det.cli import main

if __name__ == "__main__":
    main()
