// The documents of a context, cut into passages, and which passage each position of the context belongs to.

/// Documents, ready to be cited. Made once for a context and used for each of its answers; time and memory are linear
/// in the texts.
public struct EvidenceSources: Sendable {
  /// A passage of one of the documents.
  public struct Segment: Sendable, Hashable, Codable {
    /// Index into ``EvidenceSources/documents``.
    public var document: Int
    /// UTF-8 bytes of the document's text.
    public var bytes: Range<Int>

    /// A passage.
    public init(document: Int, bytes: Range<Int>) {
      self.document = document
      self.bytes = bytes
    }
  }

  /// In the order in which they were given.
  public let documents: [SourceDocument]
  /// How passages were cut, and how they will be weighed and chosen.
  public let settings: EvidenceSettings
  /// The passages of all documents, in their order; other types name a passage by its index here.
  public let segments: [Segment]
  /// For each document the indices of its passages.
  public let segmentIndices: [Range<Int>]
  /// For each document the places of its bytes in other units.
  public let offsets: [TextOffsets]
  /// Of each document what a position refers to, first position first.
  private let places: [Places]

  private struct Places {
    var name: String
    var positions: Range<Int>
    /// For each position the index of its passage; -1 for tokens that do not count.
    var segments: [Int32]
  }

  /// - Throws: ``EvidenceError/overlappingDocuments(_:_:)``
  public init(
    _ documents: [SourceDocument], settings: EvidenceSettings = EvidenceSettings()
  ) throws(EvidenceError) {
    var segments: [Segment] = []
    var indices: [Range<Int>] = []
    var places: [Places] = []
    for (number, document) in documents.enumerated() {
      let bytes = Array(document.text.utf8)
      let style = TextStyle(name: document.name, text: document.text)
      let ranges = SegmentScanner.ranges(bytes, style: style, longest: settings.longestSegment)
      let first = segments.count
      segments += ranges.map { Segment(document: number, bytes: $0) }
      indices.append(first..<segments.count)
      guard !document.positions.isEmpty else { continue }
      let ofTokens = Self.segments(
        of: document, bytes: bytes, ranges: ranges, first: first,
        countsPunctuation: settings.countsPunctuation)
      places.append(Places(name: document.name, positions: document.positions, segments: ofTokens))
    }
    places.sort { $0.positions.lowerBound < $1.positions.lowerBound }
    for (former, latter) in zip(places, places.dropFirst())
    where former.positions.upperBound > latter.positions.lowerBound {
      throw .overlappingDocuments(former.name, latter.name)
    }
    self.documents = documents
    self.settings = settings
    self.segments = segments
    segmentIndices = indices
    offsets = documents.map { TextOffsets($0.text) }
    self.places = places
  }

  /// The index of the passage that a position of the context belongs to: the first that the position's token shares a
  /// byte with. Nil for positions of no document and for tokens that do not count.
  public func segment(ofPosition position: Int) -> Int? {
    var (low, high) = (0, places.count)
    while low < high {
      let middle = (low + high) / 2
      if places[middle].positions.upperBound <= position { low = middle + 1 } else { high = middle }
    }
    guard low < places.count, places[low].positions.contains(position) else { return nil }
    guard position >= settings.ignoredPositions else { return nil }
    let segment = places[low].segments[position - places[low].positions.lowerBound]
    return segment < 0 ? nil : Int(segment)
  }

  /// The text of a range of bytes of a document, as it stands there; empty for a range or document that does not exist.
  /// Halves of characters at the ends become replacement characters.
  public func text(document: Int, bytes: Range<Int>) -> String {
    guard documents.indices.contains(document) else { return "" }
    let utf8 = documents[document].text.utf8
    guard bytes.lowerBound >= 0, bytes.upperBound <= utf8.count else { return "" }
    let start = utf8.index(utf8.startIndex, offsetBy: bytes.lowerBound)
    return String(decoding: utf8[start..<utf8.index(start, offsetBy: bytes.count)], as: UTF8.self)
  }

  private static func segments(
    of document: SourceDocument, bytes: [UInt8], ranges: [Range<Int>], first: Int, countsPunctuation: Bool
  ) -> [Int32] {
    var cursor = TextCursor(bytes, isFinal: true)
    var segment = 0
    return zip(document.tokenOffsets, document.tokenOffsets.dropFirst()).map { start, end in
      while segment < ranges.count, ranges[segment].upperBound <= start { segment += 1 }
      guard segment < ranges.count, ranges[segment].lowerBound < end, start < end else { return -1 }
      guard countsPunctuation ? !isBlank(bytes[start..<end]) : hasWord(start..<end, &cursor) else {
        return -1
      }
      return Int32(clamping: first + segment)
    }
  }

  static func isBlank(_ bytes: ArraySlice<UInt8>) -> Bool { bytes.allSatisfy(TextCursor.isBlank) }

  /// Whether there is a letter or a digit; parts of characters count as letters.
  private static func hasWord(_ range: Range<Int>, _ cursor: inout TextCursor) -> Bool {
    var offset = range.lowerBound
    while offset < range.upperBound, let (value, length) = cursor.scalar(offset) {
      let isPart = offset + length > range.upperBound || length == 1 && value == 0xFFFD
      if isPart || Characters.isWord(value) { return true }
      offset += length
    }
    return false
  }
}
