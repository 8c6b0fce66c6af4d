// The C model, freed with its last reader.

import CLlama

/// Owns the C model, which is there for as long as this is. Everything that reads it keeps a reference to this.
///
/// `@unchecked`: llama.cpp only reads a loaded model, and says so by taking it as `const`.
@safe final class ModelHandle: @unchecked Sendable {
  let pointer: OpaquePointer
  /// The model's own.
  var vocabulary: OpaquePointer? { unsafe llama_model_get_vocab(pointer) }

  init(_ pointer: OpaquePointer) { unsafe self.pointer = unsafe pointer }

  deinit { unsafe llama_model_free(pointer) }
}
