import Documents
import Foundation
import Testing

@Suite struct TextDecodingTests {
  private func document(_ data: Data, named name: String = "a.txt") throws -> Document {
    try DocumentReader().document(named: name, data: data)
  }

  private static let text = "Grüße, 世界 🦉\nsecond line\n"

  private static func units<Unit: FixedWidthInteger>(_ units: [Unit]) -> Data {
    Data(units.flatMap { unit in withUnsafeBytes(of: unit) { Array($0) } })
  }

  private static let utf16 = Array(text.utf16)
  private static let utf32 = text.unicodeScalars.map(\.value)

  @Test(arguments: [
    Data(text.utf8), Data([0xEF, 0xBB, 0xBF]) + Data(text.utf8),
    units(([0xFEFF] + utf16).map(\.littleEndian)), units(([0xFEFF] + utf16).map(\.bigEndian)),
    units((utf16 + Array(String(repeating: "and some ASCII\n", count: 3).utf16)).map(\.littleEndian)),
    units((utf16 + Array(String(repeating: "and some ASCII\n", count: 3).utf16)).map(\.bigEndian)),
    units(([0xFEFF] + utf32).map(\.littleEndian)), units(([0xFEFF] + utf32).map(\.bigEndian)),
  ])
  func `Unicode is read in every form`(data: Data) throws {
    #expect(try document(data).text.hasPrefix(Self.text))
  }

  @Test func `What was guessed or repaired is told`() throws {
    let folder = try DocumentFolder()
    try folder.write(
      "latin.txt",
      Data([0x47, 0x72, 0xFC, 0xDF, 0x65, 0x20, 0x80, 0x20, 0x93, 0x78, 0x94] + Array(" and more".utf8)))
    try folder.write("wide.txt", Self.units("Hello there".utf16.map(\.littleEndian)))
    try folder.write("broken.txt", Data("äöü, ".utf8) + Data([0xFF]) + Data(" end".utf8))
    let found = try folder.read(["latin.txt", "wide.txt", "broken.txt"])
    #expect(found.documents.map(\.text) == ["Grüße € “x” and more", "Hello there", "äöü, \u{FFFD} end"])
    #expect(found.notes.count == 3)
    #expect(found.notes[0].hasSuffix("latin.txt is taken for Windows-1252 (Latin-1)"))
    #expect(found.notes[1].hasSuffix("is taken for UTF-16 (little-endian)"))
    #expect(found.notes[2].hasSuffix("has 1 byte that is no UTF-8, shown as \u{FFFD}"))
  }

  @Test func `A NUL byte makes a file binary`() {
    #expect(throws: DocumentError.binary(path: "a.txt", offset: 3, byte: 0)) {
      try document(Data("abc\0defg".utf8))
    }
    let message = "\(DocumentError.binary(path: "a.txt", offset: 3, byte: 0))"
    #expect(message == "a.txt is a binary file, not text: it has a NUL byte at offset 3")
    // A mark of UTF-16 in front of something else.
    #expect(throws: DocumentError.self) { try document(Data([0xFF, 0xFE, 0, 0, 1, 0])) }
    // Integers look like UTF-16, but for their control characters.
    #expect(throws: DocumentError.self) {
      try document(Self.units((1...200).map { UInt16($0).littleEndian }))
    }
  }

  @Test func `Control bytes make a file binary, other alphabets an unknown encoding`() {
    #expect(throws: DocumentError.binary(path: "a.txt", offset: 1, byte: 2)) {
      try document(Data([0x41, 0x02, 0xE4]))
    }
    // "Привет" in KOI8-R.
    #expect(throws: DocumentError.unknownEncoding(path: "a.txt")) {
      try document(Data([0xF0, 0xD2, 0xC9, 0xD7, 0xC5, 0xD4]))
    }
  }

  @Test func `Line ends are line feeds`() throws {
    #expect(try document(Data("a\r\nb\rc\n\r\nd".utf8)).text == "a\nb\nc\n\nd")
  }

  @Test func `Kinds of files that have another way are told`() {
    for (name, part) in [
      ("a.doc", "libreoffice"), ("a.xlsx", "csv"), ("a.png", "tesseract"), ("a.zip", "unpack"),
    ] {
      let error = #expect(throws: DocumentError.self) { try document(Data([1, 0, 0, 0]), named: name) }
      #expect(error.map { "\($0)".contains(part) } == true)
    }
  }

  @Test func `A blank file is refused`() {
    #expect(throws: DocumentError.noText(path: "a.txt", advice: nil)) { try document(Data(" \n\t".utf8)) }
  }

  @Test func `The hash of a text is XXH64`() throws {
    // Of the reference implementation, `xxhsum -H64`, for the empty text.
    #expect(Document(name: "a", text: "").contentHash == "ef46db3751d8e999")
    #expect(Document(name: "a", text: "x").contentHash != Document(name: "a", text: "y").contentHash)
  }
}
