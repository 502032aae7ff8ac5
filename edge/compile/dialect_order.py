"""Graphs of a bundle in the order in which they suit a compiler or engine.

Untyped, TensorRT up to 10 chooses float precisions itself; typed, as later ones know nothing else, a layer computes in
what the graph says. `u8` is for x86: TensorRT takes symmetric INT8 only.
"""

UNTYPED_DIALECTS = ("s8", "fp32", "s8f16")
TYPED_DIALECTS = ("s8f16", "s8", "fp32")
X86_DIALECTS = ("u8", "s8", "fp32")
