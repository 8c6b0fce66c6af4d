// Split models: llama.cpp finds the other shards by name, so each is checked before it looks.

extension GGUFFile {
  /// No tool writes more; the names have five digits.
  private static let mostShards = 99_999

  /// The headers of all shards after `first`, checked; empty for a model in one file.
  static func remainingShards(of first: GGUFHeader) throws(GGUFError) -> [GGUFHeader] {
    guard let value = first.metadata["split.count"] else { return [] }
    guard case .integer(let count) = value, (0...mostShards).contains(count) else {
      throw .invalidMetadata(path: first.path, key: "split.count", reason: "it is not a number of shards")
    }
    guard count > 1 else { return [] }
    guard case .integer(let number)? = first.metadata["split.no"] else {
      throw .missingMetadata(path: first.path, key: "split.no")
    }
    guard number == 0 else { throw .notFirstShard(path: first.path, index: number + 1, count: count) }
    let ending = Self.ending(1, of: count)
    guard first.path.hasSuffix(ending) else {
      throw .shard(
        path: first.path, index: 1, count: count,
        reason: "its name must end in \"\(ending)\" for the others to be found")
    }
    let prefix = first.path.dropLast(ending.count)
    var shards: [GGUFHeader] = []
    for index in 2...count {
      let path = prefix + Self.ending(index, of: count)
      let shard: GGUFHeader
      do { shard = try GGUFHeader(path: String(path)) } catch {
        throw .shard(path: String(path), index: index, count: count, reason: "\(error)")
      }
      guard shard.metadata["split.no"] == .integer(index - 1),
        shard.metadata["split.count"] == .integer(count)
      else {
        throw .shard(
          path: String(path), index: index, count: count, reason: "it belongs to another set or place")
      }
      shards.append(shard)
    }
    if case .integer(let expected)? = first.metadata["split.tensors.count"] {
      let found = shards.reduce(first.tensors.count) { $0 + $1.tensors.count }
      guard found == expected else {
        throw .invalidMetadata(
          path: first.path, key: "split.tensors.count", reason: "\(expected) tensors promised, \(found) found"
        )
      }
    }
    return shards
  }

  private static func ending(_ index: Int, of count: Int) -> String {
    func padded(_ number: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }
    return "-\(padded(index))-of-\(padded(count)).gguf"
  }
}
