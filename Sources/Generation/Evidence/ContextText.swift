// Where texts are among the tokens of a context.

import Foundation
public import LlamaHost
import RetrievalAttention

/// The bytes of a context's tokens, in which documents are found again.
public struct ContextText: Sendable {
  /// Of all tokens; control tokens have none.
  public let bytes: [UInt8]
  /// `[tokens + 1]`: where in ``bytes`` each token begins.
  public let offsets: [Int]

  public init(tokens: [Int32], tokenizer: Tokenizer) {
    var (bytes, offsets): ([UInt8], [Int]) = ([], [0])
    offsets.reserveCapacity(tokens.count + 1)
    for token in tokens {
      tokenizer.append(token, to: &bytes)
      offsets.append(bytes.count)
    }
    (self.bytes, self.offsets) = (bytes, offsets)
  }

  /// Where the bytes of a text begin that stands nearest to the end.
  func lastPlace(of text: String) -> Int? {
    let wanted = Array(text.utf8)
    guard !wanted.isEmpty, wanted.count <= bytes.count else { return nil }
    return (0...bytes.count - wanted.count).last { bytes[$0..<$0 + wanted.count] == wanted[...] }
  }

  /// Positions of a question's last tokens in a prompt that ends with it and its template, as far as they are traced
  /// (``RetrievalAttention/AttentionTrace/questionTokens``); nil where it is not there as it is.
  public static func question(_ text: String, in prompt: some Collection<Int32>, tokenizer: Tokenizer)
    -> Range<Int>?
  {
    let tail = Array(prompt.suffix(AttentionTrace.questionTokens))
    let context = ContextText(tokens: tail, tokenizer: tokenizer)
    let first = prompt.count - tail.count
    var end = text.trimmingCharacters(in: .whitespacesAndNewlines)[...]
    while end.count >= shortestQuestion {
      if let begin = context.lastPlace(of: String(end)),
        let place = context.place(of: String(end), from: begin)
      {
        return first + place.tokens.lowerBound..<first + place.tokens.upperBound
      }
      // Longer than what is traced, perhaps.
      end = end.suffix(end.count / 2)
    }
    return nil
  }

  /// Fewer characters are in any template.
  private static let shortestQuestion = 8

  /// What some tokens say; halves of characters at the ends are left out.
  public func text(of tokens: Range<Int>) -> String {
    var part = bytes[offsets[tokens.lowerBound]..<offsets[tokens.upperBound]]
    while let first = part.first, first & 0xC0 == 0x80 { part = part.dropFirst() }
    let text = String(decoding: part, as: UTF8.self)
    // A character that is not complete has become one sign.
    return text.hasSuffix("\u{FFFD}") ? String(text.dropLast()) : text
  }

  /// A document's place.
  public struct Place: Sendable, Hashable {
    /// Tokens that have some of its bytes.
    public var tokens: Range<Int>
    /// For each of them where it begins in the document, and the end of the last one.
    public var offsets: [Int]
  }

  /// Finds a text behind byte `start`; nil where it is not, as when the template has changed it.
  public func place(of text: String, from start: Int = 0) -> Place? {
    let wanted = Array(text.utf8)
    guard !wanted.isEmpty, let first = find(wanted, from: start) else { return nil }
    let end = first + wanted.count
    // The first token that ends behind the beginning, the last that begins before the end.
    let firstToken = partition { offsets[$0 + 1] > first }
    let lastToken = partition { offsets[$0] >= end }
    let tokens = firstToken..<max(firstToken, lastToken)
    return Place(
      tokens: tokens,
      offsets: tokens.map { max(0, offsets[$0] - first) } + [
        min(wanted.count, offsets[tokens.upperBound] - first)
      ])
  }

  /// The first token for which something is true that stays so.
  private func partition(_ isBehind: (Int) -> Bool) -> Int {
    var (low, high) = (0, offsets.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if isBehind(middle) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  private func find(_ wanted: [UInt8], from start: Int) -> Int? {
    guard start >= 0, start + wanted.count <= bytes.count else { return nil }
    // Texts differ from all but their own place within a few bytes.
    return (start...bytes.count - wanted.count).first { place in
      bytes[place] == wanted[0] && bytes[place..<place + wanted.count] == wanted[...]
    }
  }
}
