"""What is remembered: Protocols with an embedded store and Redis behind them."""
