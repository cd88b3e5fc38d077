"""What the two HTTP listeners share: answers, problems, request marks, health, sockets."""
