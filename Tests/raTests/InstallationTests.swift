// Manual pages of the program's own commands, and an installation that leaves nothing behind.

import Foundation
import Testing

@Suite struct InstallationTests {
  private static let checkout = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  private func script(_ name: String, _ arguments: [String]) throws -> (status: Int32, error: String) {
    let process = Process()
    process.executableURL = Self.checkout.appendingPathComponent("scripts/\(name)")
    process.arguments = arguments
    let pipe = Pipe()
    process.standardError = pipe
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
  }

  private func files(_ folder: URL) throws -> Set<String> {
    let paths = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
    return Set(
      paths.filter {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: "\(folder.path)/\($0)", isDirectory: &isFolder)
          && !isFolder.boolValue
      })
  }

  @Test func everyCommandHasAPage() throws {
    let folder = try TemporaryFolder()
    let result = try script("manual", ["--program", try Program.path(), folder.url("man").path])
    #expect(result.status == 0, "\(result.error)")
    let pages = try files(folder.url("man"))
    for name in ["ra", "ra-ask", "ra-session", "ra-session-list", "ra-bench-decode"] {
      #expect(pages.contains("\(name).1"))
    }
    let macros: Set<Substring> = [
      "Dd", "Dt", "Os", "Sh", "Ss", "Nm", "Nd", "Pp", "Fl", "Op", "Ar", "Bl", "It", "El", "Bd", "Ed", "Xr",
      "Ql",
      "Cm", "Pa", "Ev", "Li",
    ]
    for page in pages {
      let text = try String(contentsOf: folder.url("man/\(page)"), encoding: .utf8)
      #expect(!text.contains(NSHomeDirectory()), "\(page)")
      let lines = text.split(separator: "\n").filter { $0.hasPrefix(".") }
      let used = lines.map { $0.dropFirst().prefix { $0 != " " } }
      #expect(used.allSatisfy(macros.contains), "\(page)")
      #expect(used.filter { $0 == "Bl" }.count == used.filter { $0 == "El" }.count, "\(page)")
      // Each page it refers to is there.
      for line in lines where line.contains("Xr ra") {
        let words = line.split(separator: " ")
        let place = try #require(words.firstIndex(of: "Xr") ?? words.firstIndex(of: ".Xr"))
        #expect(pages.contains("\(words[place + 1]).1"), "\(page): \(line)")
      }
    }
    let ask = try String(contentsOf: folder.url("man/ra-ask.1"), encoding: .utf8)
    for option in ["session", "model", "kv-type", "max-tokens", "json"] {
      #expect(ask.contains("Fl -\(option)"), "\(option)")
    }
  }

  @Test func whatIsInstalledIsRemovedAgain() throws {
    let folder = try TemporaryFolder()
    let arguments = ["--prefix", "/opt/some where", "--destdir", folder.url("root").path]
    let prefix = folder.url("root/opt/some where")
    try FileManager.default.createDirectory(
      at: prefix.appendingPathComponent("bin"), withIntermediateDirectories: true)
    try Data("other".utf8).write(to: prefix.appendingPathComponent("bin/other"))
    for _ in 0..<2 {
      let result = try script("install-files", ["--program", try Program.path()] + arguments)
      #expect(result.status == 0, "\(result.error)")
    }
    let installed = try files(prefix)
    for path in [
      "bin/ra", "bin/other", "share/man/man1/ra-ask.1", "share/bash-completion/completions/ra",
      "share/zsh/site-functions/_ra", "share/fish/vendor_completions.d/ra.fish",
      "share/doc/retrieval-attention/LICENSE",
    ] { #expect(installed.contains(path), "\(path)") }
    let removal = try script("install-files", ["--uninstall"] + arguments)
    #expect(removal.status == 0, "\(removal.error)")
    #expect(try files(prefix) == ["bin/other"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: prefix.path) == ["bin"])
    let second = try script("install-files", ["--uninstall"] + arguments)
    #expect(second.status == 1)
    #expect(second.error.contains("nothing is installed"))
  }

  @Test func aListThatLeadsElsewhereRemovesNothing() throws {
    let folder = try TemporaryFolder()
    let list = folder.url("prefix/share/retrieval-attention")
    try FileManager.default.createDirectory(at: list, withIntermediateDirectories: true)
    try Data("../precious\n".utf8).write(to: list.appendingPathComponent("installed-files"))
    try Data("kept".utf8).write(to: folder.url("precious"))
    let result = try script("install-files", ["--uninstall", "--prefix", folder.url("prefix").path])
    #expect(result.status == 1)
    #expect(result.error.contains("../precious"))
    #expect(FileManager.default.fileExists(atPath: folder.url("precious").path))
  }
}
