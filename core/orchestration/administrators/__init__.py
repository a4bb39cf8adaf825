"""People who run the installation: who they are, how they log in, what their sessions allow."""
