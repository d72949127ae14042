"""What mic-det needs to run: installing detectron2, and a look at what is there. Needs no package but the standard library."""
