// Whoever writes an index gets states to add to.

@_exported public import struct AttentionKernels.StatePointers
