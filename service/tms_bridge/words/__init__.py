"""How things stand and what became of a call, in words: pure, for console, API and commands alike."""
