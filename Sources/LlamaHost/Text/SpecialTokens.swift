// Tokens that llama.cpp looks for by name before it tokenizes the text between them.

import CLlama

/// The names of special tokens, gathered once for each vocabulary.
///
/// llama.cpp cuts a text at these names, longer ones first, and tokenizes what is left piece by piece.
/// Control tokens count only when they are asked for; those that the model's maker defined as text (line
/// breaks in Gemma) always do.
final class SpecialTokens: Sendable {
  struct Control: Sendable {
    let token: Int32
    let name: String
    /// Whether white space before or after it belongs to it.
    let stripsLeft, stripsRight: Bool
  }

  enum Part {
    case text(String)
    case control(Control)
  }

  /// Control tokens, the longest name first.
  let controls: [Control]
  /// Whether every line break is a token of its own or together with other line breaks, so that a text can be
  /// cut in front of one without changing its tokens.
  let separatesLines: Bool
  /// All names that are looked for where control tokens count, by their first byte.
  private let names: [[Name]]
  private let longestName: Int

  private struct Name {
    let bytes: [UInt8]
    /// Whether a text can be cut in front of it: a control token that takes nothing from what is before it.
    let begins: Bool
  }

  /// Cost: one pass over the vocabulary, some milliseconds.
  init(of model: ModelHandle) {
    let vocabulary = unsafe model.vocabulary
    var controls: [Control] = []
    var hasLineBreak = false
    var hasMixedLineBreak = false
    var names = [[Name]](repeating: [], count: 256)
    let controlMask = LLAMA_TOKEN_ATTR_CONTROL.rawValue | LLAMA_TOKEN_ATTR_UNKNOWN.rawValue
    let userMask = LLAMA_TOKEN_ATTR_USER_DEFINED.rawValue
    let stripMask = LLAMA_TOKEN_ATTR_LSTRIP.rawValue | LLAMA_TOKEN_ATTR_RSTRIP.rawValue
    for token in unsafe 0..<llama_vocab_n_tokens(vocabulary) {
      let attributes = unsafe llama_vocab_get_attr(vocabulary, token).rawValue
      guard attributes & (controlMask | userMask) != 0,
        let text = unsafe llama_vocab_get_text(vocabulary, token),
        unsafe text.pointee != 0
      else { continue }
      let name = unsafe String(cString: text)
      let bytes = Array(name.utf8)
      let isControl = attributes & controlMask != 0
      names[Int(bytes[0])].append(
        Name(bytes: bytes, begins: isControl && attributes & LLAMA_TOKEN_ATTR_LSTRIP.rawValue == 0))
      if isControl {
        controls.append(
          Control(
            token: token, name: name, stripsLeft: attributes & LLAMA_TOKEN_ATTR_LSTRIP.rawValue != 0,
            stripsRight: attributes & LLAMA_TOKEN_ATTR_RSTRIP.rawValue != 0))
      }
      if name.utf8.contains(UInt8(ascii: "\n")) {
        let isPure = name.utf8.allSatisfy { $0 == UInt8(ascii: "\n") } && attributes & stripMask == 0
        if !isPure { hasMixedLineBreak = true }
        if isPure, name.utf8.count == 1, attributes & userMask != 0 { hasLineBreak = true }
      } else if attributes & stripMask != 0 {
        // It may swallow line breaks next to it.
        hasMixedLineBreak = true
      }
    }
    self.controls = controls.sorted { $0.name.utf8.count > $1.name.utf8.count }
    separatesLines = hasLineBreak && !hasMixedLineBreak
    self.names = names
    longestName = names.joined().map(\.bytes.count).max() ?? 0
  }

  /// Whether a text in which control tokens count can be cut at `place` without changing its tokens: in front of a
  /// control token, and not within another name.
  func separates(_ text: [UInt8], at place: Int) -> Bool {
    let here = names[Int(text[place])].filter { Self.has(text, $0.bytes, at: place) }
    guard !here.isEmpty, here.allSatisfy(\.begins) else { return false }
    for start in max(0, place - longestName + 1)..<place {
      if names[Int(text[start])].contains(where: {
        start + $0.bytes.count > place && Self.has(text, $0.bytes, at: start)
      }) {
        return false
      }
    }
    return true
  }

  private static func has(_ text: [UInt8], _ name: [UInt8], at place: Int) -> Bool {
    place + name.count <= text.count
      && text[place..<place + name.count].elementsEqual(name)
  }

  /// Cuts text that the program itself wrote at the names of control tokens.
  func split(_ text: String) -> [Part] {
    var parts: [Part] = [.text(text)]
    for control in controls where text.contains(control.name) {
      parts = parts.flatMap { part -> [Part] in
        guard case .text(var rest) = part else { return [part] }
        var cut: [Part] = []
        while let place = rest.firstRange(of: control.name) {
          if place.lowerBound > rest.startIndex { cut.append(.text(String(rest[..<place.lowerBound]))) }
          cut.append(.control(control))
          rest = String(rest[place.upperBound...])
        }
        if !rest.isEmpty { cut.append(.text(rest)) }
        return cut
      }
    }
    return parts
  }
}
