import Foundation
import Testing

@testable import Platform

@Suite struct InputTests {
  private static func file(_ bytes: [UInt8]) throws -> String {
    let path = FileManager.default.temporaryDirectory.appending(path: "PlatformTests-\(UUID().uuidString)")
      .path
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return path
  }

  @Test func `A file is read up to the limit, and refused by its size beyond it`() throws {
    let path = try Self.file([UInt8](repeating: 7, count: 1000))
    defer { unlink(path) }
    #expect(try InputFile.read(path, limit: 1000).count == 1000)
    #expect(throws: InputFile.Failure.tooLarge(byteCount: 1000, limit: 999)) {
      try InputFile.read(path, limit: 999)
    }
  }

  @Test func `An endless file is read no further than the limit`() {
    #expect(throws: InputFile.Failure.tooLarge(byteCount: nil, limit: 1 << 20)) {
      try InputFile.read("/dev/zero", limit: 1 << 20)
    }
  }

  @Test func `What cannot be read is told`() {
    #expect(throws: InputFile.Failure.system(code: ENOENT)) { try InputFile.read("/no/such/file", limit: 10) }
    #expect(throws: InputFile.Failure.isDirectory) { try InputFile.read("/tmp", limit: 10) }
  }

  @Test(arguments: [
    ("one\ntwo\r\n\nfour", ["one", "two", "", "four"]), ("", []), ("\n", [""]), ("end", ["end"]),
    ("a\u{0}b\n", ["a\u{0}b"]),
  ])
  func `Lines are what stands between their ends`(text: String, lines: [String]) throws {
    let path = try Self.file(Array(text.utf8))
    defer { unlink(path) }
    let descriptor = open(path, O_RDONLY)
    defer { close(descriptor) }
    var input = InputLines(descriptor: descriptor, limit: 100)
    var found: [String] = []
    while let line = try input.next() { found.append(line) }
    #expect(found == lines)
  }

  @Test func `A line without an end is refused`() throws {
    let descriptor = open("/dev/zero", O_RDONLY)
    defer { close(descriptor) }
    var input = InputLines(descriptor: descriptor, limit: 1 << 18)
    #expect(throws: InputLines.TooLong(limit: 1 << 18)) { try input.next() }
  }
}
