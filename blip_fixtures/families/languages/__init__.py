"""Language models: they read query vectors and a prompt, and write the answer. One file or folder is one kind."""
