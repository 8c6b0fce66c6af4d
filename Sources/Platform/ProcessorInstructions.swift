// Instructions that not every processor of an architecture has.

internal import CSystemCalls

package enum ProcessorInstructions {
  /// Whether this processor has those of a kind, such as AVX2 or DOTPROD, and the system lets programs use them; true
  /// for kinds that nobody knows here.
  package static func has(_ kind: String) -> Bool { unsafe ra_processor_has(kind) != 0 }
}
