// What may be wrong with settings and inputs of a benchmark of indexes.

/// Why indexes cannot be compared.
package enum IndexBenchmarkError: Error, Equatable, Sendable {
  case unknownKind(String, known: [String])
  case invalidSetting(name: String, value: String, requirement: String)
  /// The first query sees no row between sink and window.
  case nothingToIndex(head: String, visible: Int, sink: Int, window: Int)
  /// A head differs from the first one.
  case unlikeHeads(head: String, name: String, value: Int, first: Int)
  case unreadableReport(path: String, reason: String)
  /// The other report is of other rows or conditions.
  case cannotMerge(field: String, ours: Int, theirs: Int)
}

extension IndexBenchmarkError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .unknownKind(let name, let known):
      "there is no index \(name); there are \(known.joined(separator: ", "))"
    case .invalidSetting(let name, let value, let requirement):
      "\(name) is \(value), but must be \(requirement)"
    case .nothingToIndex(let head, let visible, let sink, let window):
      """
      \(head): the first query sees \(visible) rows, of which sink \(sink) and window \(window) leave none to index
      """
    case .unlikeHeads(let head, let name, let value, let first):
      "\(head): the \(name) is \(value), but that of the first head is \(first)"
    case .unreadableReport(let path, let reason):
      "cannot read \(path): \(reason)"
    case .cannotMerge(let field, let ours, let theirs):
      "the other report was measured with \(field) \(theirs), this one with \(ours)"
    }
  }
}
