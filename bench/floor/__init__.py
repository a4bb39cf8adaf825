"""What can be had at best: bare handlers on the same server, with nothing but the work that cannot be left out."""
