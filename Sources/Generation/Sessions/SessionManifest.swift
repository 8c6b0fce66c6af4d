// The manifest: the one file that is replaced, and by that decides what a session is.

import AttentionKernels
import Foundation
import Platform
import RetrievalAttention
import VectorIndex

/// What manifest.json holds. docs/session-format.md describes it.
struct SessionManifest: Codable, Equatable {
  /// One segment.
  struct File: Codable, Equatable {
    var name: String
    var byteCount: Int
    /// Of its header, and so of everything in it; hexadecimal.
    var checksum: String
  }

  /// Counts the saves; names of segments have the number of theirs.
  var commit = 0
  /// Seconds since 1970.
  var created: Double
  var modified: Double
  var model: ModelIdentity
  var attention: StoredPolicy
  /// How keys and values are stored; f16 when missing.
  var format: KeyValueFormat?
  /// Tokens in the context.
  var tokenCount = 0
  /// Tokens that are still to be read.
  var pendingTokenCount = 0
  var documents: [SessionDocument] = []
  var attributes: [String: String] = [:]
  /// Segments of rows, oldest first; then the ones of indexes, if any, and of state. Empty before the first save.
  var rows: [File] = []
  var indexes: File?
  var state: File?

  var files: [File] { rows + [indexes, state].compactMap { $0 } }

  static let fileName = "manifest.json"
  static let formatVersion = 3
  /// The first had attention's settings field by field, the second no contents of documents.
  private static let readableVersions = 1...formatVersion
  /// A manifest has a few lines; more than this is something else.
  private static let maximumSize = 64 << 20

  // The first line, of fixed length, holds version and checksum; the checksum is of everything after it.
  private static func firstLine(checksum: UInt32, version: Int = formatVersion) -> String {
    "{\"format\":\(version),\"checksum\":\"\(hexadecimal(checksum))\",\n"
  }

  private static let secondLine = "\"session\":"

  static func hexadecimal(_ number: UInt32) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }

  func encoded() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    var body = Data(Self.secondLine.utf8)
    body.append(try encoder.encode(self))
    body.append(Data("}\n".utf8))
    return Data(Self.firstLine(checksum: Self.checksum(body)).utf8) + body
  }

  private static func checksum(_ data: Data) -> UInt32 {
    unsafe data.withUnsafeBytes { unsafe CRC32C.checksum(of: $0) }
  }

  /// Reads and checks the manifest of a session.
  static func read(_ directory: String) throws -> SessionManifest {
    var isDirectory: ObjCBool = false
    guard unsafe FileManager.default.fileExists(atPath: directory, isDirectory: &isDirectory) else {
      throw SessionError.notFound(path: directory)
    }
    guard isDirectory.boolValue else {
      throw SessionError.notASession(path: directory, reason: "it is no directory")
    }
    let path = "\(directory)/\(fileName)"
    let data = try SessionFiles.read(path, atMost: maximumSize, session: directory)
    return try decode(data, path: path)
  }

  static func decode(_ data: Data, path: String) throws -> SessionManifest {
    func damaged(_ reason: String) -> SessionError { .damagedManifest(path: path, reason: reason) }
    guard let end = data.prefix(100).firstIndex(of: UInt8(ascii: "\n")) else {
      throw damaged("its first line does not end")
    }
    let line = String(decoding: data[data.startIndex...end], as: UTF8.self)
    let start = "{\"format\":"
    guard line.hasPrefix(start) else { throw damaged("it does not start as a manifest does") }
    let digits = line.dropFirst(start.count).prefix { $0.isASCII && $0.isNumber }
    guard let version = Int(digits) else { throw damaged("it has no format version") }
    // Before the checksum, which a later version may compute in another way.
    guard readableVersions.contains(version) else {
      throw SessionError.unsupportedVersion(path: path, expected: formatVersion, found: version)
    }
    let body = Data(data[(end + 1)...])
    let checksum = checksum(body)
    guard line == firstLine(checksum: checksum, version: version) else {
      throw damaged("its checksum is \(hexadecimal(checksum)), its first line says \(line.dropLast(2))")
    }
    guard body.starts(with: Data(secondLine.utf8)), body.suffix(2) == Data("}\n".utf8) else {
      throw damaged("it does not hold a session")
    }
    let manifest: SessionManifest
    do {
      manifest = try JSONDecoder().decode(Self.self, from: body.dropFirst(secondLine.utf8.count).dropLast(2))
    } catch {
      throw damaged("\(error)")
    }
    try manifest.check(damaged)
    return manifest
  }

  /// What could lead astray even in a manifest whose checksum is right.
  private func check(_ damaged: (String) -> SessionError) throws {
    let counts =
      [commit, tokenCount, pendingTokenCount] + documents.flatMap { [$0.firstToken, $0.tokenCount] }
    guard counts.allSatisfy({ (0...Int(UInt32.max)).contains($0) }) else {
      throw damaged("a count is negative or too large")
    }
    let sizes = documents.compactMap(\.contents).flatMap { [$0.firstByte, $0.byteCount] }
    guard sizes.allSatisfy({ (0...Int(Int32.max) * 1024).contains($0) }) else {
      throw damaged("a size of a document is negative or too large")
    }
    for file in files where !SessionFiles.isSegmentName(file.name) {
      throw damaged("'\(file.name)' is not the name of a segment")
    }
    guard Set(files.map(\.name)).count == files.count else { throw damaged("a segment occurs twice") }
    guard (state != nil) == (commit > 0), state != nil || files.isEmpty else {
      throw damaged("the state is missing")
    }
  }
}

extension SessionManifest.File {
  init(_ file: SegmentFile) {
    self.init(
      name: file.name, byteCount: file.header.byteCount,
      checksum: SessionManifest.hexadecimal(file.header.checksum))
  }
}
