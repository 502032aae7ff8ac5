"""Which layers INT8 and FP16 hurt, in every modality state, and the plan of precisions that follows from it."""
