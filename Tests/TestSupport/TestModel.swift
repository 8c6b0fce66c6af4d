// The models that the environment names.

import Foundation
package import LlamaHost

package enum TestModel {
  package struct Missing: Error, CustomStringConvertible {
    package let description = "Set RA_TEST_MODEL to the path of SmolLM2-135M-Instruct in GGUF format."
  }

  package static func path() throws -> String {
    guard let path = ProcessInfo.processInfo.environment["RA_TEST_MODEL"] else { throw Missing() }
    return path
  }

  /// Loaded once for all tests.
  package static func load() throws -> LlamaModel { try shared.get() }

  private static let shared = Result { try LlamaModel.load(path: path()) }

  /// A second model with sliding-window layers of 512 tokens, such as Gemma 3 270M; its tests are skipped without.
  package static let slidingPath = ProcessInfo.processInfo.environment["RA_TEST_SLIDING_MODEL"]
}
