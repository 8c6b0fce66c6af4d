package import Foundation

/// A folder that goes with the object.
package final class TemporaryFolder {
  private let base: URL

  package init() throws {
    base = FileManager.default.temporaryDirectory.appendingPathComponent("ra-tests-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: base, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: base) }

  package func url(_ name: String) -> URL { base.appendingPathComponent(name) }

  /// Writes a file and returns its path.
  package func file(_ name: String, _ data: Data) throws -> String {
    try data.write(to: url(name))
    return url(name).path
  }
}
