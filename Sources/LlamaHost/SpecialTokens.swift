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

  /// Cost: one pass over the vocabulary, some milliseconds.
  init(vocabulary: OpaquePointer) {
    var controls: [Control] = []
    var hasLineBreak = false
    var hasMixedLineBreak = false
    let controlMask = LLAMA_TOKEN_ATTR_CONTROL.rawValue | LLAMA_TOKEN_ATTR_UNKNOWN.rawValue
    let userMask = LLAMA_TOKEN_ATTR_USER_DEFINED.rawValue
    let stripMask = LLAMA_TOKEN_ATTR_LSTRIP.rawValue | LLAMA_TOKEN_ATTR_RSTRIP.rawValue
    for token in 0..<llama_vocab_n_tokens(vocabulary) {
      let attributes = llama_vocab_get_attr(vocabulary, token).rawValue
      guard attributes & (controlMask | userMask) != 0, let text = llama_vocab_get_text(vocabulary, token),
        text.pointee != 0
      else { continue }
      let name = String(cString: text)
      if attributes & controlMask != 0 {
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
