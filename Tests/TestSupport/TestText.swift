// The texts of the repository.

package import Foundation
package import LlamaHost

/// The folder that this package is built in.
package enum Repository {
  package static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
}

package enum TestText {
  package struct TooShort: Error {
    package var name: String
    package var tokens: Int
  }

  /// The path of one of the texts, such as `alice.txt`.
  package static func path(_ name: String) -> String {
    Repository.root.appendingPathComponent("Texts").appendingPathComponent(name).path
  }

  package static func read(_ name: String) throws -> String {
    try String(contentsOfFile: path(name), encoding: .utf8)
  }

  package static func read(_ name: String, characters: Int) throws -> String {
    String(try read(name).prefix(characters))
  }

  /// The first `count` tokens of a text, with what the model puts in front of one.
  package static func tokens(_ name: String, _ count: Int, model: LlamaModel) throws -> [Int32] {
    // Tokens of English text have four characters on average; eight are enough.
    let text = try read(name, characters: 8 * count + 100)
    let tokens = try model.tokenizer.tokenize(text, addSpecial: true, parseSpecial: false)
    guard tokens.count >= count else { throw TooShort(name: name, tokens: tokens.count) }
    return Array(tokens.prefix(count))
  }
}
