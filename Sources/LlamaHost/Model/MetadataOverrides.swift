// Metadata that the host is to read otherwise than the file has it.

import CLlama

/// Values that take the place of a file's, in the host's form: a list that ends with an empty key.
struct MetadataOverrides {
  private var values: [llama_model_kv_override]

  /// Makes the host take the long RoPE factors in a context of any length: it compares that with the length of the
  /// original one, which becomes 1.
  init?(alwaysLongRopeOf architecture: String) {
    guard let value = Self.integer(1, key: GGUFFile.originalContextKey(architecture)) else { return nil }
    values = [value, llama_model_kv_override()]
  }

  /// Nil for a key that the host has no room for.
  private static func integer(_ value: Int64, key: String) -> llama_model_kv_override? {
    var result = llama_model_kv_override()
    result.tag = LLAMA_KV_OVERRIDE_TYPE_INT
    result.val_i64 = value
    let fits = unsafe withUnsafeMutableBytes(of: &result.key) { target in
      let bytes = Array(key.utf8)
      guard bytes.count < target.count else { return false }
      unsafe target.copyBytes(from: bytes)
      return true
    }
    return fits ? result : nil
  }

  /// Calls `body` with parameters that have the values of some overrides, which are there until it returns.
  static func with<Result>(
    _ overrides: MetadataOverrides?, in parameters: llama_model_params,
    _ body: (llama_model_params) -> Result
  ) -> Result {
    guard let values = overrides?.values else { return unsafe body(parameters) }
    return unsafe values.withUnsafeBufferPointer {
      var parameters = unsafe parameters
      unsafe parameters.kv_overrides = $0.baseAddress
      return unsafe body(parameters)
    }
  }
}
