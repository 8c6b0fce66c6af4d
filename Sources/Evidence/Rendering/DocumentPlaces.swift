// What readers call a place in a document.

/// Tells where in a document a byte is, in the words of its readers. Whoever knows pages and headings has one.
public protocol DocumentPlaces: Sendable {
  /// A short description without a full stop, such as "page 3" or "line 12, Results"; nil where nothing is known.
  ///
  /// - Parameters:
  ///   - offset: UTF-8 bytes of the document's text.
  ///   - document: index into ``EvidenceSources/documents``.
  func place(ofByte offset: Int, document: Int) -> String?
}

/// Lines, counted from 1 on.
public struct LinePlaces: DocumentPlaces {
  private let sources: EvidenceSources

  /// Lines of these documents.
  public init(_ sources: EvidenceSources) { self.sources = sources }

  /// "line 12"; nil for a document that does not exist.
  public func place(ofByte offset: Int, document: Int) -> String? {
    guard sources.offsets.indices.contains(document) else { return nil }
    return "line \(sources.offsets[document].place(ofByte: offset).line)"
  }
}
