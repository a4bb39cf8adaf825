"""`python -m bench`: measures every row of the table and writes `bench/results/latest.*`."""

from bench.cli import main

if __name__ == "__main__":
    main()
