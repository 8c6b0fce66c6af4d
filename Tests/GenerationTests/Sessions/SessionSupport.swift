// A folder for sessions, and the test model made ready once.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import Testing

/// A folder of its own, removed with everything in it when the last reference goes.
final class SessionFolder {
  let root: String

  init() throws {
    root = NSTemporaryDirectory() + "/sessions-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  func path(_ name: String) -> String { "\(root)/\(name)" }

  func names(_ session: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: path(session))) ?? []).sorted()
  }
}

/// `@unchecked`: tests with a model run one after another.
enum SharedHost {
  private struct Box: @unchecked Sendable { let host: GuestHost }

  static func load() throws -> GuestHost { try shared.get().host }

  private static let shared = Result {
    let model = try TestModel.load()
    return Box(host: try GuestHost(model: model, pool: ThreadPool(threadCount: 1), batchCapacity: 256))
  }
}

/// An index from a few hundred tokens on, and insertions every 64.
let earlyIndex = {
  var settings = RetrievalSettings()
  settings.sinkCount = 32
  settings.windowCount = 128
  settings.segmentCount = 512
  settings.insertionCount = 64
  settings.minimumIndexedCount = 128
  return settings
}()

extension GuestRunner {
  /// Logits after each of `tokens`.
  func answers(_ tokens: ArraySlice<Int32>) throws -> [[Float]] {
    try tokens.map { Array(try decode($0).last) }
  }
}
