"""How the demo data is drawn: bodies, clothes, scenes, all as filled polygons."""
