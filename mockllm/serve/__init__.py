"""Where things happen: sockets, loops, clocks, processes and signals. Nowhere else."""
