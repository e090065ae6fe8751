"""Networks: backbones, heads, moving averages."""
