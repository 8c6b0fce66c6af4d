import Foundation
import LineEditing
import Testing

@Suite struct LineHistoryTests {
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
    "LineHistory-\(UUID().uuidString)")

  private var path: String { folder.appendingPathComponent("state/history").path }

  @Test func `Lines are there in the next run, for the owner alone`() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let lines = ["one", "two\nlines", "back\\slash \\n", "ünï"]
    for line in lines { LineHistory(path: path).append(line) }
    #expect(LineHistory(path: path).read() == lines)
    let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    #expect(mode == 0o600)
  }

  @Test func `A long file is shortened`() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let history = LineHistory(path: path, limit: 10)
    for number in 0..<25 { history.append("\(number)") }
    #expect(history.read() == (15..<25).map(String.init))
    #expect(try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").count == 10)
    let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    #expect(mode == 0o600)
  }

  @Test func `A file that cannot be had is empty`() {
    let history = LineHistory(path: "/dev/null/history")
    history.append("x")
    #expect(history.read() == [])
  }
}
