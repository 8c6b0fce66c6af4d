import Foundation
import Platform
import Testing

@testable import Documents

@Suite struct FolderTests {
  @Test func `A folder is read by path, without what is hidden`() throws {
    let folder = try DocumentFolder([
      "b.txt": "b", "a/z.txt": "z", "a/b/c.md": "c", "a.txt": "a", ".secret": "s", ".git/config": "g",
    ])
    #expect(try folder.names() == ["a.txt", "a/b/c.md", "a/z.txt", "b.txt"])
  }

  @Test func `Patterns choose files and leave files and folders out`() throws {
    let folder = try DocumentFolder([
      "a.md": "a", "b.txt": "b", "old/c.md": "c", "sub/d.md": "d", "sub/old/e.md": "e",
    ])
    #expect(try folder.names { $0.include = ["*.md"] } == ["a.md", "old/c.md", "sub/d.md", "sub/old/e.md"])
    #expect(try folder.names { $0.exclude = ["old"] } == ["a.md", "b.txt", "sub/d.md"])
    #expect(try folder.names { $0.include = ["sub/*.md"] } == ["sub/d.md"])
    #expect(throws: DocumentError.badPattern("[a", reason: "has a '[' that does not end")) {
      try folder.names { $0.include = ["[a"] }
    }
  }

  /// The expected files are those of `git ls-files --others --exclude-standard`.
  @Test func `Nested ignore files with negation count as for git`() throws {
    let folder = try DocumentFolder([
      ".gitignore": "*.log\n!keep.log\nbuild/\n/top.txt\nsub/x*.txt\n# no rule\n\\#odd.txt\ndoc/**/tmp\n",
      "a.log": "1", "keep.log": "1", "top.txt": "1", "sub/top.txt": "1", "build/out.txt": "1",
      "sub/build/out.txt": "1", "sub/xa.txt": "1", "sub/deep/xb.txt": "1", "#odd.txt": "1",
      "doc/a/b/tmp": "1",
      "doc/tmp": "1", "sub/.gitignore": "!a.log\n*.csv\n", "sub/a.log": "1", "sub/t.csv": "1", "t.csv": "1",
    ])
    let expected = ["keep.log", "sub/a.log", "sub/deep/xb.txt", "sub/top.txt", "t.csv"]
    #expect(try folder.names() == expected)
    #expect(try folder.names { $0.usesIgnoreFiles = false }.count == 14)
    if let git = try? gitFiles(folder) { #expect(git == expected) }
  }

  /// What git says of the same folder.
  private func gitFiles(_ folder: DocumentFolder) throws -> [String] {
    let git = ["/usr/bin/git", "/usr/local/bin/git"].first {
      FileManager.default.isExecutableFile(atPath: $0)
    }
    guard let git else { throw CocoaError(.fileNoSuchFile) }
    func run(_ arguments: [String]) throws -> String {
      let result = try ChildProgram.run(
        git, ["-C", folder.path] + arguments, timeLimit: 30, outputLimit: 1 << 20)
      guard result.ended.status == 0 else { throw CocoaError(.fileReadUnknown) }
      return String(decoding: result.output, as: UTF8.self)
    }
    _ = try run(["init", "-q"])
    return try run(["ls-files", "--others", "--exclude-per-directory=.gitignore"]).split(separator: "\n")
      .map(String.init).filter { !$0.contains(".gitignore") }.sorted()
  }

  @Test func `Ignore files above a folder count up to the repository`() throws {
    let folder = try DocumentFolder([
      "repo/.git/HEAD": "x", "repo/.gitignore": "*.tmp\n/a/no.txt\n", "repo/a/no.txt": "1",
      "repo/a/yes.txt": "1",
      "repo/a/b.tmp": "1",
    ])
    #expect(try folder.read(["repo/a"]).documents.map(\.name) == ["yes.txt"])
  }

  @Test func `What cannot be read is skipped and told in one line`() throws {
    let folder = try DocumentFolder(["a.txt": "text", "empty.txt": " "])
    for name in ["b.bin", "c.bin"] { try folder.write(name, Data([1, 0, 0, 2])) }
    try FileManager.default.createSymbolicLink(
      atPath: folder.path("l.txt"), withDestinationPath: folder.path("a.txt"))
    let found = try folder.read()
    #expect(found.documents.map(\.name) == ["a.txt"])
    #expect(
      found.notes == [
        "\(folder.path): skipped 4 files: 2 binary (b.bin, c.bin); 1 empty (empty.txt); 1 that is a link"
      ])
    // Named by itself, the same file is an error.
    #expect(throws: DocumentError.binary(path: folder.path("b.bin"), offset: 1, byte: 0)) {
      try folder.read(["b.bin"])
    }
    let error = #expect(throws: DocumentError.self) { try folder.read([""]) { $0.include = ["*.bin"] } }
    #expect(error.map { "\($0)" }?.contains("there are no documents in") == true)
  }

  @Test func `Patterns, addresses and files that were named twice`() throws {
    let folder = try DocumentFolder(["a.txt": "a", "sub/b.txt": "b", "sub/c.md": "c", "my file.txt": "m"])
    #expect(try folder.read(["**/*.txt"]).documents.map(\.name) == ["a.txt", "my file.txt", "sub/b.txt"])
    #expect(try folder.read(["sub/?.md"]).documents.map(\.name) == ["c.md"])
    #expect(try folder.read(["sub/b.txt", "sub", "sub/b.txt"]).documents.map(\.name) == ["b.txt", "c.md"])
    let address = URL(fileURLWithPath: folder.path("my file.txt")).absoluteString
    #expect(try DocumentReader().read([address]).documents.map(\.text) == ["m"])
    #expect(throws: DocumentError.notAFile(address: "https://example.org/a.txt")) {
      try DocumentReader().read(["https://example.org/a.txt"])
    }
    #expect(throws: DocumentError.self) { try folder.read(["none.txt"]) }
    #expect(throws: DocumentError.self) { try folder.read(["*.none"]) }
  }

  @Test func `Documents of the same name are told apart by their paths`() throws {
    let folder = try DocumentFolder(["x/a.txt": "1", "y/a.txt": "2", "b.txt": "3"])
    let names = try folder.read(["x/a.txt", "y/a.txt", "b.txt"]).documents.map(\.name)
    #expect(names == [folder.path("x/a.txt"), folder.path("y/a.txt"), "b.txt"])
    #expect(Document(name: "a\nFile: b", text: "x").name == "a?File: b")
  }

  @Test func `Limits are told with their size`() throws {
    let folder = try DocumentFolder(["a.txt": String(repeating: "x", count: 2000), "b.txt": "12345"])
    #expect(throws: DocumentError.tooLarge(path: folder.path("a.txt"), byteCount: 2000, limit: 1024)) {
      try folder.read(["a.txt"]) { $0.byteLimit = 1024 }
    }
    #expect(throws: DocumentError.tooMuchText(limit: 2001)) { try folder.read([""]) { $0.byteLimit = 2001 } }
    #expect(
      "\(DocumentError.tooLarge(path: "standard input", byteCount: nil, limit: 1536))"
        == "standard input has too much of text: at most 1.5 KB can be read")
  }

  @Test func `Arguments that are documents and those that are questions`() throws {
    let folder = try DocumentFolder(["a.txt": "a"])
    for text in [folder.path("a.txt"), folder.path, folder.path("*.txt"), "-", "file:///none"] {
      #expect(DocumentReader.isDocument(text), "\(text)")
    }
    for text in ["Who?", "What is a*b?", folder.path("*.md"), folder.path("b.txt"), ""] {
      #expect(!DocumentReader.isDocument(text), "\(text)")
    }
  }

  @Test(arguments: [
    ("*.txt", "a.txt", true), ("*.txt", "a/b.txt", false), ("**/*.txt", "a/b.txt", true),
    ("**/*.txt", "b.txt", true), ("a/**", "a/b/c", true), ("a/**/c", "a/c", true), ("a/**/c", "b/c", false),
    ("[a-c]x", "bx", true), ("[!a-c]x", "bx", false), ("[!a-c]x", "dx", true), ("[]]x", "]x", true),
    ("a\\*b", "a*b", true), ("a\\*b", "axb", false), ("?", "ä", true),
    ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaa", false),
    ("**/a/**/b", "x/a/y/z/b", true),
  ])
  func `Patterns match as in a shell`(pattern: String, path: String, expected: Bool) throws {
    #expect(try GlobPattern(pattern).matches(path.split(separator: "/").map(String.init)) == expected)
  }
}
