// The passages of a text.

/// Cuts texts into the passages that citations point to.
///
///     TextSegments.ranges(of: "Dr. Who came. He left.", style: .prose)   // [0..<13, 14..<22]
public enum TextSegments {
  /// Passages as ranges of UTF-8 bytes, in the order of the text, in time linear in its length.
  ///
  /// Each byte that is no blank is in exactly one passage, and passages begin and end with one; no passage divides a
  /// character. Blanks are white space, byte order marks and zero-width spaces.
  ///
  /// - Parameters:
  ///   - style: sentences or lines.
  ///   - longest: most bytes of a passage, at least 16; what is longer is cut.
  public static func ranges(of text: String, style: TextStyle, longest: Int = 600) -> [Range<Int>] {
    SegmentScanner.ranges(Array(text.utf8), style: style, longest: longest)
  }
}
