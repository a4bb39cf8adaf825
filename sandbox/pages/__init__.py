"""What a paying person sees: checkout and authentication pages in plain HTML."""
