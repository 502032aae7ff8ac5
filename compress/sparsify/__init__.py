"""2:4 sparsity: two of each four weights are zero, which the sparse tensor cores of Ampere and later can skip."""
