// The metadata that llama.cpp uses without asking, checked for the types and lengths that it assumes.

extension GGUFHeader {
  /// Throws for metadata that would end the process or read beyond an array inside llama.cpp.
  func checkModelMetadata() throws(GGUFError) {
    guard let architecture = metadata["general.architecture"] else {
      throw .missingMetadata(path: path, key: "general.architecture")
    }
    guard case .string(let prefix) = architecture, !prefix.isEmpty else {
      throw .invalidMetadata(path: path, key: "general.architecture", reason: "it is not a name")
    }
    try checkVocabulary()
    try checkShape(prefix)
    for key in ["general.type", "adapter.type"] {
      guard let value = metadata[key] else { continue }
      guard case .string = value else {
        throw .invalidMetadata(path: path, key: key, reason: "it is not a name")
      }
    }
  }

  private func checkVocabulary() throws(GGUFError) {
    guard let tokens = arrays["tokenizer.ggml.tokens"] else {
      if metadata["tokenizer.ggml.tokens"] != nil {
        throw .invalidMetadata(path: path, key: "tokenizer.ggml.tokens", reason: "it is not an array")
      }
      return
    }
    try check("tokenizer.ggml.tokens", types: [.string], count: nil)
    // The host walks these by the number of tokens, whatever their own length.
    try check("tokenizer.ggml.scores", types: [.float32], count: tokens.count)
    try check("tokenizer.ggml.token_type", types: [.int32, .uint32], count: tokens.count)
    try check("tokenizer.ggml.merges", types: [.string], count: nil)
    try check("tokenizer.ggml.precompiled_charsmap", types: [.int8, .uint8], count: nil)
  }

  private func check(_ key: String, types: [GGUFValueType], count: Int?) throws(GGUFError) {
    guard metadata[key] != nil else { return }
    guard let array = arrays[key] else {
      throw .invalidMetadata(path: path, key: key, reason: "it is not an array")
    }
    guard types.contains(array.type) else {
      throw .invalidMetadata(path: path, key: key, reason: "its elements are of type \(array.type)")
    }
    if let count, array.count != count {
      throw .invalidMetadata(
        path: path, key: key, reason: "it has \(array.count) elements for \(count) tokens")
    }
  }

  private func checkShape(_ prefix: String) throws(GGUFError) {
    // The host's own limit, LLAMA_MAX_LAYERS.
    try check("\(prefix).block_count", in: 1...512)
    try check("\(prefix).context_length", in: 1...Int(Int32.max))
    try check("\(prefix).embedding_length", in: 1...1 << 24)
    try check("\(prefix).attention.head_count", in: 0...65_536)
    try check("\(prefix).attention.head_count_kv", in: 0...65_536)
    try check("\(prefix).attention.key_length", in: 1...65_536)
    try check("\(prefix).attention.value_length", in: 1...65_536)
    try check("\(prefix).attention.sliding_window", in: 0...Int(Int32.max))
    try check("\(prefix).rope.dimension_count", in: 0...65_536)
    if let dimension = values("\(prefix).rope.dimension_count").first(where: { $0 % 2 != 0 }) {
      throw .invalidMetadata(
        path: path, key: "\(prefix).rope.dimension_count", reason: "\(dimension) dimensions are not pairs")
    }
    let heads = values("\(prefix).attention.head_count")
    let kvHeads = values("\(prefix).attention.head_count_kv")
    guard let first = heads.first, let firstKV = kvHeads.first else { return }
    for index in 0..<max(heads.count, kvHeads.count) {
      let head = index < heads.count ? heads[index] : first
      let kvHead = index < kvHeads.count ? kvHeads[index] : firstKV
      guard kvHead == 0 || head % kvHead == 0 else {
        throw .invalidMetadata(
          path: path, key: "\(prefix).attention.head_count_kv",
          reason: "\(head) heads cannot share \(kvHead) key-value heads")
      }
    }
  }

  private func check(_ key: String, in range: ClosedRange<Int>) throws(GGUFError) {
    guard let value = values(key).first(where: { !range.contains($0) }) else { return }
    throw .invalidMetadata(
      path: path, key: key, reason: "\(value) is not between \(range.lowerBound) and \(range.upperBound)")
  }

  private func values(_ key: String) -> [Int] {
    switch metadata[key] {
    case .integer(let value): [value]
    case .integers(let values): values
    default: []
    }
  }
}
