"""What a layer must be to run on the DLA of an Orin, kind by kind."""
