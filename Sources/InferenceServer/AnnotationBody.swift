// Passages that answers came from, as each interface has them.

import Evidence
import Serving

/// A passage in chat completions: OpenAI's citation of an address, which here names a document and a place in it (RFC
/// 5147), with the passage's text beside.
struct AnnotationBody: Encodable, Sendable {
  struct Citation: Encodable, Sendable {
    /// `document:NAME#char=START,END`, in characters of the document.
    var url: String
    var title: String
    /// Of the sentence in the answer, in characters.
    var startIndex, endIndex: Int
    var citedText: String
    var documentIndex: Int
    var startCharIndex, endCharIndex: Int
    /// The same in bytes of UTF-8.
    var startByte, endByte: Int
    var place: String?
  }

  var type = "url_citation"
  var urlCitation: Citation

  init(_ entry: EvidenceRecord.Entry) {
    let name = entry.documentTitle.addingPercentEncoding
    urlCitation = Citation(
      url: "document:\(name)#char=\(entry.source.startCharIndex),\(entry.source.endCharIndex)",
      title: entry.documentTitle, startIndex: entry.answer.startCharIndex,
      endIndex: entry.answer.endCharIndex, citedText: entry.citedText, documentIndex: entry.documentIndex,
      startCharIndex: entry.source.startCharIndex, endCharIndex: entry.source.endCharIndex,
      startByte: entry.source.startByte, endByte: entry.source.endByte, place: entry.place
    )
  }
}

extension String {
  /// With all but letters, digits and a few marks as their bytes.
  fileprivate var addingPercentEncoding: String {
    utf8.map { byte in
      let isPlain =
        byte < 0x80 && (Character(UnicodeScalar(byte)).isLetter || Character(UnicodeScalar(byte)).isNumber)
      guard !isPlain, !"-._~/".utf8.contains(byte) else { return String(UnicodeScalar(byte)) }
      let digits = String(byte, radix: 16, uppercase: true)
      return "%" + (digits.count < 2 ? "0" : "") + digits
    }.joined()
  }
}

extension EvidenceRecord.Entry {
  /// Anthropic's `char_location`; characters are Unicode scalars, ends are exclusive.
  var charLocation: JSONObject {
    [
      "type": .string("char_location"), "cited_text": .string(citedText),
      "document_index": .integer(documentIndex), "document_title": .string(documentTitle), "file_id": .null,
      "start_char_index": .integer(source.startCharIndex), "end_char_index": .integer(source.endCharIndex),
    ]
  }

  /// OpenAI's citation of a file in responses, with the place in it beside.
  var fileCitation: JSONObject {
    [
      "type": .string("file_citation"), "file_id": .string(documentTitle), "filename": .string(documentTitle),
      "index": .integer(answer.endCharIndex), "cited_text": .string(citedText),
      "document_index": .integer(documentIndex), "start_char_index": .integer(source.startCharIndex),
      "end_char_index": .integer(source.endCharIndex),
    ]
  }
}
