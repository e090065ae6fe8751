"""How the demo's synthetic people are rendered: bodies, clothes, scenes, all as filled polygons."""
