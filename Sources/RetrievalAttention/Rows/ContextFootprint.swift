// What contexts cost together, when some of them share their memory.

/// Bytes of memory that several contexts take: what forks share is counted once, and what is mapped from a session's
/// files not at all, since the system can drop it at any time.
package struct ContextFootprint {
  package private(set) var byteCount = 0
  private var segments: Set<ObjectIdentifier> = []

  package init() {}

  package init(of engines: some Sequence<AttentionEngine>) {
    for engine in engines { add(engine) }
  }

  /// Cost: a look at each head.
  package mutating func add(_ engine: AttentionEngine) {
    byteCount += engine.unsharedByteCount
    for file in engine.storage.image?.files ?? []
    where file.home == nil && segments.insert(ObjectIdentifier(file)).inserted {
      // Not the file's size: most of what lies between its arrays was never written.
      byteCount += file.header.entries.reduce(0) { $0 + $1.byteCount }
    }
  }
}

extension AttentionEngine {
  /// Whether ``fork(capacity:)`` works with this policy.
  package var isForkable: Bool {
    heads.joined().allSatisfy { $0.storable != nil }
  }

  /// Bytes that this context alone has: since it was forked, saved or opened.
  package var unsharedByteCount: Int {
    var count = unsavedByteCount
    if storage.image == nil || storage.indexesChanged { count += indexByteCount }
    if storage.image == nil || storage.stateChanged { count += sampleByteCount }
    return count
  }
}
