// Documents with their names, as a model sees them.

import Foundation
public import LlamaHost
import Platform

/// Documents as they stand in front of a question: each below its name, with an empty line between them.
///
///     File: contract-anna.txt
///     Salary: 3,100 ...
///
///     File: contract-boris.txt
///     Salary: 2,700 ...
///
/// Where each text is in all of that is known, so that what a model answers can be looked up in its source.
public struct PromptDocuments: Sendable, Hashable {
  /// A document of the prompt.
  public struct Element: Sendable, Hashable {
    public var name: String
    /// Where its text is, without the name above it: bytes of ``PromptDocuments/text``.
    public var range: Range<Int>
    /// The file, where it came from one.
    public var path: String?
    /// The XXH64 (seed 0) of the text's UTF-8, 16 hexadecimal digits.
    public var hash: String
  }

  public private(set) var elements: [Element] = []
  /// The documents, each with its name above it.
  public private(set) var sections: [String] = []
  private var end: Int

  /// What stands between two documents.
  static let separator = "\n\n"

  /// - Parameter offset: where the first one begins, for documents that follow others.
  public init(startingAt offset: Int = 0) { end = offset }

  /// Adds a document behind the others. Line ends behind its text are left out.
  public mutating func append(name: String, path: String? = nil, text: String) {
    var text = text[...]
    while let last = text.utf8.last, last == UInt8(ascii: "\n") || last == UInt8(ascii: "\r") {
      text = text[..<text.utf8.index(before: text.endIndex)]
    }
    let title = "File: \(name)\n"
    let start = end + (sections.isEmpty && end == 0 ? 0 : Self.separator.utf8.count) + title.utf8.count
    end = start + text.utf8.count
    sections.append(title + text)
    elements.append(
      Element(name: name, range: start..<end, path: path, hash: XXH64.hexadecimal(String(text))))
  }

  /// All sections, as the prompt has them.
  public var text: String { sections.joined(separator: Self.separator) }
}

extension Prompt {
  /// Builds a prompt of documents with names, as the other initializer does of texts; throws as that does.
  public init(documents: PromptDocuments, question: String, model: LlamaModel, raw: Bool) throws {
    try self.init(documents: documents.sections, question: question, model: model, raw: raw)
  }
}

extension Conversation {
  /// Adds documents with names before the first question; throws as the other `read` does.
  ///
  /// - Returns: the tokens to read, and where in them each document is, its name included.
  public mutating func read(
    _ documents: PromptDocuments
  ) throws -> (tokens: [Int32], documents: [SessionDocument]) {
    var (tokens, ranges) = try read(zip(documents.elements, documents.sections).map { ($0.name, $1) })
    for (index, element) in documents.elements.enumerated() {
      ranges[index].contents = SessionDocument.Contents(element)
    }
    return (tokens, ranges)
  }
}

extension Conversation {
  /// A conversation of the same kind in which nothing was said, with another system message; nil takes the template's
  /// own.
  ///
  /// - Throws: the host's errors for a template that refuses it.
  public func restarted(systemPrompt: String?) throws -> Conversation {
    var next = self
    next.place = .start
    next.openText = ""
    next.answerStart = nil
    next.template?.options.systemPrompt = systemPrompt
    try next.template?.check()
    return next
  }
}

extension SessionDocument.Contents {
  /// What a session keeps of a document of a prompt.
  public init(_ element: PromptDocuments.Element) {
    self.init(
      path: element.path, firstByte: element.range.lowerBound, byteCount: element.range.count,
      hash: element.hash)
  }
}
