"""Several bridges behind one proxy, before a broker of three nodes, and what a cluster does to them."""
