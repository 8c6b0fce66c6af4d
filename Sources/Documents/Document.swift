// A text with a name, whatever file it came from.

import Platform

/// A text to read, and where it came from.
public struct Document: Sendable, Hashable {
  /// As it is to be shown: the file's name, or its path within the folder that was named. In one line.
  public var name: String
  /// The file's absolute path; nil for standard input.
  public var path: String?
  public var format: DocumentFormat
  /// With line feeds at the ends of lines, whatever the file has.
  public var text: String
  /// Where each part of the text stands in the source.
  public var places: DocumentPlaces

  /// - Parameter name: control characters and line breaks in it become question marks.
  public init(
    name: String, path: String? = nil, format: DocumentFormat = .text, text: String,
    places: DocumentPlaces? = nil
  ) {
    self.name = Self.shown(name)
    self.path = path
    self.format = format
    self.text = text
    self.places = places ?? DocumentPlaces(of: text, format: format)
  }

  /// The XXH64 (seed 0) of the text's UTF-8, 16 hexadecimal digits: tells whether a text has changed, and is no defence
  /// against purpose.
  public var contentHash: String { XXH64.hexadecimal(text) }

  /// A name on one line.
  static func shown(_ name: String) -> String {
    String(
      String.UnicodeScalarView(
        name.unicodeScalars.map {
          switch $0.properties.generalCategory {
          case .control, .lineSeparator, .paragraphSeparator: "?"
          default: $0
          }
        }))
  }
}

/// What could be read, and what there is to know about the rest.
public struct DocumentCollection: Sendable {
  /// In the order in which they were named; those of one folder by their paths.
  public var documents: [Document]
  /// Sentences for people: what was skipped, and which encodings were guessed.
  public var notes: [String]

  public init(documents: [Document] = [], notes: [String] = []) {
    self.documents = documents
    self.notes = notes
  }
}
