// Which model a session belongs to: keys of one model mean nothing to another.

import Foundation
import LlamaHost
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

  var name: String
  var architecture: String
  /// Heads, widths, windows and rotation of each attention layer.
  var layers: [String]
  var vocabularySize: Int
  /// Of all bytes of all files: weights, tokenizer and settings alike. XXH64, hexadecimal.
  var contents: String
  /// Files of these stamps have these contents and need not be read again.
  var stamps: [Stamp]

  /// Reads all of the model's files, unless a session or this process has seen them as they are.
  init(_ host: GuestHost, known: ModelIdentity? = nil) throws {
    let description = host.model.description
    name = description.name ?? description.summary
    architecture = description.architecture
    layers = host.shape.layers.map(Self.signature)
    vocabularySize = description.vocabularySize
    stamps = try host.model.file.shards.map { try Stamp($0) }
    let files = Set(stamps.map(\.file))
    if let known, Set(known.stamps.map(\.file)) == files {
      contents = known.contents
    } else if let seen = Self.seen.withLock({ $0[files] }) {
      contents = seen
    } else {
      contents = try ContentHash.hexadecimal(ofFiles: host.model.file.shards)
      let contents = contents
      Self.seen.withLock { $0[files] = contents }
    }
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
    try check("number of layers", "\(layers.count)", "\(other.layers.count)")
    for (number, (expected, found)) in zip(layers, other.layers).enumerated() {
      try check("layer \(number)", expected, found)
    }
    try check("vocabulary", "\(vocabularySize) tokens", "\(other.vocabularySize) tokens")
    try check(
      "contents (weights, tokenizer or metadata)", "\(contents) (\(name))",
      "\(other.contents) (\(other.name))")
  }

  /// `9 heads of 64 for 3, scale 0.125, rotateHalf 32 pairs 1a2b3c4d`: equal for layers whose keys mean the same.
  static func signature(_ layer: LayerShape) -> String {
    var text =
      "\(layer.headCount) heads of \(layer.headDimension) for \(layer.kvHeadCount), scale \(layer.scale)"
    if let window = layer.slidingWindow { text += ", window \(window)" }
    guard let rotary = layer.rotary else { return text + ", no known rotation" }
    let frequencies = rotary.inverseFrequencies.map(\.bitPattern.littleEndian)
    let sum = frequencies.withUnsafeBytes { ContentHash.hash($0) }
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
    guard stat(path, &status) == 0 else {
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

/// XXH64 (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md), seed 0: fast, and no defence against purpose.
enum ContentHash {
  static func hexadecimal(ofFiles paths: [String]) throws -> String {
    var all: [UInt64] = []
    for path in paths {
      let data: Data
      do {
        data = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
      } catch {
        throw GenerationError.unreadableFile(path: path, reason: (error as NSError).localizedDescription)
      }
      all.append(data.withUnsafeBytes { hash($0) }.littleEndian)
    }
    let sum = all.count == 1 ? UInt64(littleEndian: all[0]) : all.withUnsafeBytes { hash($0) }
    let digits = String(sum, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  private static let primes: (UInt64, UInt64, UInt64, UInt64, UInt64) = (
    0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x85EB_CA77_C2B2_AE63,
    0x27D4_EB2F_1656_67C5
  )

  static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    let (p1, p2, p3, p4, p5) = primes
    func word(_ offset: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 { value << count | value >> (64 - count) }
    func round(_ lane: UInt64, _ input: UInt64) -> UInt64 { rotate(lane &+ input &* p2, 31) &* p1 }
    var next = 0
    var sum: UInt64
    if bytes.count >= 32 {
      var (a, b, c, d) = (p1 &+ p2, p2, UInt64(0), 0 &- p1)
      while next + 32 <= bytes.count {
        a = round(a, word(next))
        b = round(b, word(next + 8))
        c = round(c, word(next + 16))
        d = round(d, word(next + 24))
        next += 32
      }
      sum = rotate(a, 1) &+ rotate(b, 7) &+ rotate(c, 12) &+ rotate(d, 18)
      for lane in [a, b, c, d] { sum = (sum ^ round(0, lane)) &* p1 &+ p4 }
    } else {
      sum = p5
    }
    sum = sum &+ UInt64(bytes.count)
    while next + 8 <= bytes.count {
      sum = rotate(sum ^ round(0, word(next)), 27) &* p1 &+ p4
      next += 8
    }
    if next + 4 <= bytes.count {
      let half = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: next, as: UInt32.self))
      sum = rotate(sum ^ UInt64(half) &* p1, 23) &* p2 &+ p3
      next += 4
    }
    while next < bytes.count {
      sum = rotate(sum ^ UInt64(bytes[next]) &* p5, 11) &* p1
      next += 1
    }
    sum = (sum ^ sum >> 33) &* p2
    sum = (sum ^ sum >> 29) &* p3
    return sum ^ sum >> 32
  }
}
