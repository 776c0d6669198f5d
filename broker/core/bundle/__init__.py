"""One service of several parts (一件事, 多地联办): which opens when, and the one answer."""
