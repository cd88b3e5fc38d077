"""TMS Bridge: Skillable TMS webhooks in, typed RabbitMQ messages out."""
