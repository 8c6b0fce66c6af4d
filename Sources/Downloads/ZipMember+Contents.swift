// The bytes of a member of a zip file.

import Foundation
import Platform
import Synchronization

extension ZipMember {
  /// Hands on what the member holds, in pieces.
  ///
  /// A deflated member becomes a gzip file by ten bytes before and eight behind it (RFC 1952), which gzip unpacks and
  /// checks; every system has that. Stored ones are compared with the pinned sum of their whole file alone.
  ///
  /// - Throws: ``DownloadError``, what `output` throws, and `CancellationError`.
  func read(from path: String, _ output: (Data) throws -> Void) throws {
    let file = URL(fileURLWithPath: path).lastPathComponent
    var count = 0
    func take(_ piece: Data) throws {
      count += piece.count
      guard count <= byteCount else {
        throw DownloadError.badPackage(file: file, reason: "it holds more than it says")
      }
      try output(piece)
    }
    let source = try Source(path: path, offset: offset, count: storedCount)
    switch method {
    case .stored:
      while let piece = try source.next() {
        try Task.checkCancellation()
        try take(piece)
      }
    case .deflated:
      let pieces = Pieces(source, before: Self.gzipHeader, after: gzipTrailer)
      let ended = try ProgramPipe.run(
        "gzip", ["-dc"], for: "unpack packages", input: { try pieces.next() }, output: take)
      guard ended.status == 0 else {
        let words =
          ended.errors.split(separator: "\n").last.map(String.init) ?? "gzip failed (\(ended.status))"
        throw DownloadError.badPackage(
          file: file, reason: words.trimmingCharacters(in: .whitespaces))
      }
    }
    guard count == byteCount else {
      throw DownloadError.badPackage(file: file, reason: "it holds less than it says")
    }
  }

  /// Deflated, no name, no time, system unknown.
  private static let gzipHeader = Data([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])

  private var gzipTrailer: Data {
    Data((0..<4).map { UInt8(truncatingIfNeeded: checksum >> (8 * UInt32($0))) })
      + Data((0..<4).map { UInt8(truncatingIfNeeded: byteCount >> (8 * $0)) })
  }

  /// A part of a file, in pieces.
  private final class Source {
    private let handle: FileHandle
    private var left: Int

    init(path: String, offset: Int, count: Int) throws {
      handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      try handle.seek(toOffset: UInt64(offset))
      left = count
    }

    deinit { try? handle.close() }

    func next() throws -> Data? {
      guard left > 0, let piece = try handle.read(upToCount: min(left, 1 << 20)), !piece.isEmpty else {
        return nil
      }
      left -= piece.count
      return piece
    }
  }

  /// A file's part with something in front and behind, for another thread.
  ///
  /// `@unchecked`: one thread asks, and the lock sees to it.
  private final class Pieces: @unchecked Sendable {
    private let source: Source
    private let state: Mutex<(before: Data?, after: Data?)>

    init(_ source: Source, before: Data, after: Data) {
      self.source = source
      state = Mutex((before, after))
    }

    func next() throws -> Data? {
      try state.withLock { state in
        if let piece = state.before {
          state.before = nil
          return piece
        }
        if let piece = try source.next() { return piece }
        defer { state.after = nil }
        return state.after
      }
    }
  }
}
