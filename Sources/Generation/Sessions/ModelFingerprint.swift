// A model's file as a short text, without reading all of it.

import Foundation
import Platform

/// What tells models apart where it costs nothing to be wrong: a session itself compares all bytes.
public enum ModelFingerprint {
  private static let sampleSize = 1 << 20

  /// The size of a file, and the XXH64 of its first and last MiB.
  ///
  /// Throws ``GenerationError/unreadableFile(path:reason:)``.
  public static func text(ofFile path: String) throws -> String {
    do {
      let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      defer { try? file.close() }
      let size = Int(try file.seekToEnd())
      try file.seek(toOffset: 0)
      var data = try file.read(upToCount: sampleSize) ?? Data()
      try file.seek(toOffset: UInt64(max(0, size - sampleSize)))
      data += try file.read(upToCount: sampleSize) ?? Data()
      return "\(size)-" + XXH64.hexadecimal(data)
    } catch {
      throw GenerationError.unreadableFile(path: path, reason: failureReason(error))
    }
  }
}
