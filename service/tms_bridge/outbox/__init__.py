"""Where an event is durable: the journal on disk, or memory and the broker's confirm."""
