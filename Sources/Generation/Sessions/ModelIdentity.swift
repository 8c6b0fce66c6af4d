// Which model a session belongs to: keys of one model mean nothing to another.

import Foundation
import LlamaHost
import Platform
import RetrievalAttention
import Synchronization

/// What is kept of a model to recognize it.
struct ModelIdentity: Codable, Equatable {
  /// A file as it was when its contents were read.
  struct Stamp: Codable, Hashable {
    var path: String
    var byteCount: Int
    /// Nanoseconds since 1970.
    var modified: Int
    var inode: UInt64
    var device: UInt64
  }

  /// An adapter, known by its contents.
  struct Adapter: Codable, Equatable {
    var path: String
    var scale: Float
    var contents: String
  }

  var name: String
  var architecture: String
  /// Heads, widths, windows and rotation of each attention layer.
  var layers: [String]
  var vocabularySize: Int
  /// The set in use, for models that have two. Missing for one set, and in sessions of earlier versions for the short
  /// one.
  var ropeFactors: RopeFactors?
  /// The scaling of RoPE in place of the file's. Missing without one, and in sessions of earlier versions.
  var ropeScaling: RopeScaling?
  /// LoRA adapters. Missing without any, and in sessions of earlier versions.
  var adapters: [Adapter]?
  /// Of all bytes of all files: weights, tokenizer and settings alike. XXH64, hexadecimal.
  var contents: String
  /// Files of these stamps have these contents and need not be read again.
  var stamps: [Stamp]

  /// Reads all of the model's files, unless a session or this process has seen them as they are.
  init(_ host: GuestHost, known: ModelIdentity? = nil) throws {
    let description = host.model.description
    name = description.name ?? description.summary
    architecture = description.architecture
    layers = host.shape.layers.map { $0.map(Self.signature) ?? "none" }
    vocabularySize = description.vocabularySize
    ropeFactors = host.model.ropeFactors
    ropeScaling = host.model.ropeScaling
    stamps = try host.model.file.shards.map { try Stamp($0) }
    let files = Set(stamps.map(\.file))
    contents =
      if let known, Set(known.stamps.map(\.file)) == files {
        known.contents
      } else {
        try Self.contents(of: host.model.file.shards, files)
      }
    let adapters = try host.model.adapters.map { adapter in
      let stamp = try Stamp(adapter.path)
      return Adapter(
        path: stamp.path, scale: adapter.scale, contents: try Self.contents(of: [adapter.path], [stamp.file]))
    }
    if !adapters.isEmpty { self.adapters = adapters }
  }

  private static func contents(of paths: [String], _ files: Set<Stamp.File>) throws -> String {
    if let seen = seen.withLock({ $0[files] }) { return seen }
    let contents = try ContentHash.hexadecimal(ofFiles: paths)
    seen.withLock { $0[files] = contents }
    return contents
  }

  private static let seen = Mutex<[Set<Stamp.File>: String]>([:])

  /// Throws ``SessionError/otherModel(path:property:expected:found:)`` for the first thing that differs.
  func require(_ other: ModelIdentity, session: String) throws {
    func check(_ property: String, _ expected: String, _ found: String) throws {
      guard expected == found else {
        throw SessionError.otherModel(path: session, property: property, expected: expected, found: found)
      }
    }
    try check("architecture", architecture, other.architecture)
    let (expected, found) = (ropeFactors ?? .short, other.ropeFactors ?? .short)
    try check("set of RoPE factors", expected.rawValue, found.rawValue)
    // Before the layers, whose angles differ for no other reason then.
    if ropeScaling != other.ropeScaling {
      try check("scaling of RoPE", Self.text(ropeScaling), Self.text(other.ropeScaling))
    }
    try check("number of layers", "\(layers.count)", "\(other.layers.count)")
    for (number, (expected, found)) in zip(layers, other.layers).enumerated() {
      try check("layer \(number)", expected, found)
    }
    try check("vocabulary", "\(vocabularySize) tokens", "\(other.vocabularySize) tokens")
    if Self.changes(adapters) != Self.changes(other.adapters) {
      try check("LoRA adapters", Self.names(adapters), Self.names(other.adapters))
    }
    try check(
      "contents (weights, tokenizer or metadata)", "\(contents) (\(name))",
      "\(other.contents) (\(other.name))")
  }

  private static func text(_ scaling: RopeScaling?) -> String { scaling?.description ?? "the file's own" }

  /// What adapters do, wherever their files are.
  private static func changes(_ adapters: [Adapter]?) -> [String] {
    (adapters ?? []).map { "\($0.contents):\($0.scale)" }
  }

  private static func names(_ adapters: [Adapter]?) -> String {
    guard let adapters, !adapters.isEmpty else { return "none" }
    return adapters.map { adapter in
      "\(URL(fileURLWithPath: adapter.path).lastPathComponent):\(adapter.scale) (\(adapter.contents))"
    }.joined(separator: ", ")
  }

  /// `9 heads of 64 for 3, scale 0.125, rotateHalf 32 pairs 1a2b3c4d`: equal for layers whose keys mean the same.
  static func signature(_ layer: LayerShape) -> String {
    var text =
      "\(layer.headCount) heads of \(layer.headDimension) for \(layer.kvHeadCount), scale \(layer.scale)"
    if let window = layer.slidingWindow { text += ", \(layer.isChunked ? "chunks of" : "window") \(window)" }
    if layer.valuesAreKeys { text += ", latent" }
    if layer.valueDimension != layer.headDimension { text += ", values of \(layer.valueDimension)" }
    if let owner = layer.keyLayer { text += ", keys of layer \(owner)" }
    if let cap = layer.softCap { text += ", cap \(cap)" }
    if layer.distanceSlopes != nil { text += ", ALiBi" }
    guard let rotary = layer.rotary else { return text + ", no known rotation" }
    let frequencies = rotary.inverseFrequencies.map(\.bitPattern.littleEndian)
    let sum = unsafe frequencies.withUnsafeBytes { unsafe XXH64.hash($0) }
    return text + ", \(rotary.layout) \(frequencies.count) pairs \(String(sum, radix: 16))"
  }
}

extension ModelIdentity.Stamp {
  /// Everything but the name, which may change.
  struct File: Hashable {
    var byteCount: Int
    var modified: Int
    var inode: UInt64
    var device: UInt64
  }

  var file: File { File(byteCount: byteCount, modified: modified, inode: inode, device: device) }

  init(_ path: String) throws {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else {
      throw SessionError.system(operation: "stat", path: path, code: errno)
    }
    #if canImport(Darwin)
      let time = status.st_mtimespec
    #else
      let time = status.st_mtim
    #endif
    self.path = URL(fileURLWithPath: path).standardizedFileURL.path
    byteCount = Int(status.st_size)
    modified = Int(time.tv_sec) * 1_000_000_000 + Int(time.tv_nsec)
    inode = UInt64(status.st_ino)
    device = UInt64(truncatingIfNeeded: status.st_dev)
  }
}

/// What a model's files hold, as one number.
enum ContentHash {
  /// XXH64 of a file, or of the sums of several; reading them can be cancelled.
  static func hexadecimal(ofFiles paths: [String]) throws -> String {
    var all: [UInt64] = []
    for path in paths { all.append(try hash(ofFile: path).littleEndian) }
    let sum =
      unsafe all.count == 1 ? UInt64(littleEndian: all[0]) : all.withUnsafeBytes { unsafe XXH64.hash($0) }
    return XXH64.hexadecimal(sum)
  }

  private static func hash(ofFile path: String) throws -> UInt64 {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unreadable(path) }
    defer { close(descriptor) }
    var sum = XXH64()
    var chunk = [UInt8](repeating: 0, count: 4 << 20)
    while true {
      try Task.checkCancellation()
      let count = unsafe read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw unreadable(path) }
      guard count > 0 else { return sum.value }
      unsafe chunk[..<count].withUnsafeBytes { unsafe sum.update($0) }
    }
  }

  private static func unreadable(_ path: String) -> GenerationError {
    .unreadableFile(path: path, reason: systemMessage(errno))
  }
}
