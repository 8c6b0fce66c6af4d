// A context goes to the disk in one step, and comes from there.

import LlamaHost
import Platform
import RetrievalAttention
import VectorIndex

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
    let image = try unsafe engine.freeze(
      to: destination,
      extra: [(tag: "tokn", bytes: saved.withUnsafeBytes { unsafe Array($0) })]
        + Self.arrays(try recurrent.saved()))
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
    return unsafe bytes.withUnsafeBytes { bytes in
      let reader = unsafe ByteReader(bytes)
      return (0..<count).map { reader.integer(at: 4 * $0) }
    }
  }

  /// Copies of recurrent layers' states as arrays of a segment: their positions, and each state.
  private static func arrays(_ states: [RecurrentSnapshot]) -> [(tag: FileTag, bytes: [UInt8])] {
    guard !states.isEmpty else { return [] }
    let positions = states.map { UInt64($0.position).littleEndian }
    return unsafe [(tag: "rpos", bytes: positions.withUnsafeBytes { unsafe Array($0) })]
      + states.enumerated().map { (tag: FileTag("r", $0), bytes: $1.bytes) }
  }

  /// The states of recurrent layers that an image has, none for models without such layers.
  ///
  /// - Parameter count: tokens that have been read, after which the last states must be.
  static func savedStates(in image: EngineImage, count: Int) throws -> RecurrentHistory {
    guard image.hasState("rpos") else { return RecurrentHistory() }
    let bytes = try image.stateBytes("rpos")
    let positions = unsafe bytes.withUnsafeBytes { bytes in
      let reader = unsafe ByteReader(bytes)
      return (0..<bytes.count / 8).map { Int(clamping: reader.integer(at: 8 * $0, UInt64.self)) }
    }
    guard bytes.count % 8 == 0, positions.count <= RecurrentHistory.largestCount, positions.last == count,
      positions.first.map({ $0 > 0 }) ?? false, zip(positions, positions.dropFirst()).allSatisfy({ $0 < $1 })
    else {
      throw StorageError.damaged(
        path: image.state.path, what: "rpos", expected: "ascending positions up to \(count)",
        actual: "\(positions.prefix(8))")
    }
    return RecurrentHistory(
      checkpoints: try positions.enumerated().map {
        RecurrentSnapshot(position: $1, bytes: try image.stateBytes(FileTag("r", $0)))
      })
  }
}
