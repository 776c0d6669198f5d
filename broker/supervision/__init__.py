"""What watches the road: health, lag, metrics."""
