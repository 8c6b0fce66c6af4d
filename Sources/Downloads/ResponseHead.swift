// The head of an answer in HTTP, as curl shows it in front of the body.

import Foundation

/// Status and fields of an answer.
struct ResponseHead: Equatable {
  var status = 0
  /// By lower-case name; the last one of a name counts.
  var fields: [String: String] = [:]

  subscript(_ name: String) -> String? { fields[name] }

  /// Bytes of the whole file, where the answer tells.
  var totalSize: Int? {
    if status == 206 || status == 416 {
      return self["content-range"]?.split(separator: "/").last.flatMap { Int($0) }
    }
    return self["content-length"].flatMap { Int($0) }
  }

  /// The byte with which a part begins; 0 for a whole file.
  var firstByte: Int? {
    guard status == 206 else { return 0 }
    let range = self["content-range"]?.drop { !$0.isNumber }.prefix { $0.isNumber }
    return range.flatMap { Int($0) }
  }

  /// The SHA-256 that Hugging Face tells of large files, and their size. Other marks that look like it may be anything.
  var linkedSum: String? {
    let sum = (self["x-linked-etag"] ?? "").filter { $0 != "\"" }.lowercased()
    return SHA256Sum.isValid(sum) ? sum : nil
  }
  var linkedSize: Int? { self["x-linked-size"].flatMap { Int($0) } }

  /// What tells a file from what it becomes later, if it can be relied on for parts.
  var strongMark: String? { self["etag"].flatMap { $0.hasPrefix("W/") ? nil : $0 } ?? self["last-modified"] }
}

enum SHA256Sum {
  static func isValid(_ text: String) -> Bool {
    text.utf8.count == 64 && text.allSatisfy { $0.isASCII && $0.isHexDigit && !$0.isUppercase }
  }
}

/// Takes heads off the front of a stream.
struct ResponseHeadReader {
  /// More than any server sends.
  private static let largestHead = 1 << 18

  private var waiting = Data()
  /// The head of the answer itself, when it is there.
  private(set) var head: ResponseHead?

  /// Takes a piece; returns what of it is the body.
  ///
  /// - Throws: ``Failure`` for something that is no answer.
  mutating func take(_ piece: Data) throws(Failure) -> Data {
    if head != nil { return piece }
    waiting.append(piece)
    while head == nil, let end = waiting.range(of: Data("\r\n\r\n".utf8)) {
      let found = try Self.parse(waiting[waiting.startIndex..<end.lowerBound])
      waiting = Data(waiting[end.upperBound...])
      // What comes before an answer: "go on", "more is coming".
      if found.status >= 200 { head = found }
    }
    guard head != nil else {
      guard waiting.count < Self.largestHead else { throw Failure() }
      return Data()
    }
    defer { waiting = Data() }
    return waiting
  }

  struct Failure: Error {}

  private static func parse(_ bytes: Data) throws(Failure) -> ResponseHead {
    let lines = String(decoding: bytes, as: UTF8.self).components(separatedBy: "\r\n")
    let first = lines[0].split(separator: " ", maxSplits: 2)
    guard first.count >= 2, first[0].hasPrefix("HTTP/"), let status = Int(first[1]) else { throw Failure() }
    var head = ResponseHead(status: status)
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      head.fields[line[..<colon].lowercased()] =
        line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
    }
    return head
  }
}
