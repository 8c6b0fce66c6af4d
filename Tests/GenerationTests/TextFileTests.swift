import Foundation
import Generation
import Testing

@Suite struct TextFileTests {
  private func decode(_ bytes: [UInt8]) throws -> String {
    try TextFile.decode(Data(bytes), name: "file")
  }

  @Test func readsUTF8() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("ra-\(UUID().uuidString).txt")
      .path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data("Grüße, 世界 🐇\r\n".utf8).write(to: URL(fileURLWithPath: path))
    #expect(try TextFile.read(path) == "Grüße, 世界 🐇\r\n")
  }

  @Test func dropsAByteOrderMark() throws {
    #expect(try decode([0xEF, 0xBB, 0xBF, 0x61]) == "a")
    #expect(try decode([0xEF, 0xBB, 0xBF]) == "")
    // One more is text, if an odd one.
    #expect(try decode([0xEF, 0xBB, 0xBF, 0xEF, 0xBB, 0xBF]) == "\u{FEFF}")
    #expect(try decode([]) == "")
  }

  @Test func refusesWhatIsNoText() {
    let cases: [(bytes: [UInt8], offset: Int)] = [
      ([0x61, 0x62, 0x00, 0x63], 2),
      ([0xFF], 0),
      ([0x61, 0xC3, 0x28], 1),
      ([0xC3, 0xA4, 0x80], 2),
      ([0xE4, 0xB8, 0x96, 0xE4, 0xB8], 3),
      ([0xF0, 0x9F, 0x90, 0x87, 0xED, 0xA0, 0x80], 4),
      ([0x7F, 0x45, 0x4C, 0x46, 0xC0, 0xAF], 4),
    ]
    for (bytes, offset) in cases {
      #expect(throws: GenerationError.notText(path: "file", offset: offset), "\(bytes)") { try decode(bytes) }
    }
    // Data that is a slice of other data counts from its own start.
    let slice = Data([0x61, 0x61, 0x61, 0x00])[2...]
    #expect(throws: GenerationError.notText(path: "slice", offset: 1)) {
      try TextFile.decode(slice, name: "slice")
    }
  }

  @Test func tellsWhyAFileCannotBeRead() {
    #expect(throws: GenerationError.unreadableFile(path: "/nowhere/a.txt", reason: "no such file")) {
      try TextFile.read("/nowhere/a.txt")
    }
    #expect(throws: GenerationError.unreadableFile(path: "/", reason: "it is a directory")) {
      try TextFile.read("/")
    }
  }

  @Test func `A text beyond the limit is refused, a pipe without an end too`() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("ra-\(UUID().uuidString).txt")
      .path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data(repeating: 0x61, count: 1001).write(to: URL(fileURLWithPath: path))
    #expect(throws: GenerationError.textTooLarge(path: path, byteCount: 1001, limit: 1000)) {
      try TextFile.read(path, limit: 1000)
    }
    #expect(throws: GenerationError.textTooLarge(path: "/dev/zero", byteCount: nil, limit: 1000)) {
      try TextFile.read("/dev/zero", limit: 1000)
    }
  }

  @Test func describesErrorsWithTheirValues() {
    let errors: [(GenerationError, [String])] = [
      (.unsupportedModel(["first reason", "second"]), ["first reason", "second"]),
      (
        .contextTooLong(tokens: 9000, limit: 8192, isScaled: false, factor: 2),
        ["9000", "8192", "trained for"]
      ),
      (
        .contextTooLong(tokens: 20000, limit: 16384, isScaled: true, factor: nil), ["16384", "scaled to"]
      ),
      (.emptyPrompt, ["empty"]),
      (.notText(path: "a.bin", offset: 17), ["a.bin", "17"]),
      (.unreadableFile(path: "b.txt", reason: "no such file"), ["b.txt", "no such file"]),
      (.textTooLarge(path: "c.txt", byteCount: 3 << 20, limit: 1 << 20), ["c.txt", "3.0 MB", "1.0 MB"]),
      (
        .textTooLarge(path: "standard input", byteCount: nil, limit: 1 << 20),
        ["standard input", "too much", "1.0 MB"]
      ),
      (.invalidCount(name: "tokens", value: -3, requirement: "positive"), ["tokens", "-3", "positive"]),
      (.textTooShort(tokens: 10, required: 20), ["10", "20"]),
    ]
    for (error, parts) in errors {
      for part in parts { #expect(error.description.contains(part)) }
      // What to do about it in a program's own options is that program's affair.
      #expect(!error.description.contains("--"))
    }
  }
}
