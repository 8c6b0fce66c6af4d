// A context goes to the disk in one step, and comes from there.

import RetrievalAttention

extension Context {
  /// Writes what has changed to new segments, lets `publish` name them, and goes on from them: all of that has happened
  /// then, or, after an error, nothing has.
  ///
  /// - Parameters:
  ///   - destination: where the segments go.
  ///   - home: what stands for the session there.
  ///   - unread: tokens that are still to be read, kept behind the others.
  ///   - publish: makes the new segments count, in one step of the file system.
  func commit(
    to destination: SegmentDestination, home: String, unread: [Int32],
    publish: (EngineImage) throws -> Void
  ) throws {
    let saved = (tokens + unread).map(\.littleEndian)
    let image = try engine.freeze(
      to: destination, extra: [(tag: "tokn", bytes: saved.withUnsafeBytes { Array($0) })])
    do {
      try engine.checkFiles()
      try publish(image)
    } catch {
      destination.remove(image.files)
      throw error
    }
    image.didCommit(to: home)
    // When it cannot go on from the files, the engine keeps its memory and will save everything anew.
    try? engine.adopt(image)
  }

  /// The `count` tokens of an image, read or not.
  static func savedTokens(in image: EngineImage, count: Int) throws -> [Int32] {
    let bytes = try image.stateBytes("tokn")
    guard bytes.count == count * 4 else {
      throw StorageError.damaged(
        path: image.state.path, what: "tokn", expected: "\(count * 4) bytes", actual: "\(bytes.count)")
    }
    return bytes.withUnsafeBytes { bytes in
      (0..<bytes.count / 4).map {
        Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self))
      }
    }
  }
}
