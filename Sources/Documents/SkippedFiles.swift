// What a folder has that is no document, in one line.

/// Files of a folder that were not read, by the reason.
struct SkippedFiles {
  private var names: [String: [String]] = [:]
  var links = 0

  /// What files that fail so are called together; nil for errors that end the reading.
  static func kind(of error: DocumentError) -> String? {
    switch error {
    case .binary, .unsupportedFormat: "binary"
    case .noText: "empty"
    case .unknownEncoding: "of unknown encoding"
    case .unreadable: "unreadable"
    case .tooLarge: "too large"
    case .damagedNotebook: "damaged"
    case .missingConverter(_, let program, let advice): "for which \(program) is missing (\(advice))"
    case .conversionFailed(_, let program, _), .conversionTooSlow(_, let program, _):
      "that \(program) cannot read"
    case .tooMuchText, .nothingFound, .notAFile, .badPattern: nil
    }
  }

  mutating func add(_ kind: String, _ name: String) { names[kind, default: []].append(Document.shown(name)) }

  /// `3 files: 2 binary (a.png, b.zip), 1 empty (c.txt)`; nil for none.
  var description: String? {
    var parts = names.sorted { $0.key < $1.key }.map { kind, names in
      let shown = names.prefix(3).joined(separator: ", ") + (names.count > 3 ? ", ..." : "")
      return "\(names.count) \(kind) (\(shown))"
    }
    if links > 0 { parts.append("\(links) that \(links == 1 ? "is a link" : "are links")") }
    guard !parts.isEmpty else { return nil }
    let count = names.values.reduce(links) { $0 + $1.count }
    return "\(count) file\(count == 1 ? "" : "s"): " + parts.joined(separator: "; ")
  }
}
