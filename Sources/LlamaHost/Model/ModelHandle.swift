// The C model, freed with its last reader.

import CLlama

/// Owns the C model. Everything that reads it keeps a reference to this.
///
/// `@unchecked`: llama.cpp only reads a loaded model, and says so by taking it as `const`.
final class ModelHandle: @unchecked Sendable {
  let pointer: OpaquePointer

  init(_ pointer: OpaquePointer) { self.pointer = pointer }

  deinit { llama_model_free(pointer) }
}
