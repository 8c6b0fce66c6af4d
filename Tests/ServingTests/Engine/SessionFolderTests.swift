// Documents that outlive the server.

import AttentionPolicies
import Foundation
import Generation
import LlamaHost
import Serving
import Testing

extension SchedulerTests {
  @Suite final class SessionFolderTests: Sendable {
    let folder: String

    init() throws {
      folder = NSTemporaryDirectory() + "/sessions-" + UUID().uuidString
    }

    deinit { for path in [folder, folder + "-given"] { try? FileManager.default.removeItem(atPath: path) } }

    private func start(_ change: (inout SchedulerSettings) -> Void = { _ in }) async throws -> Scheduler {
      try await Scheduler.start {
        $0.sessionFolder = folder
        change(&$0)
      }
    }

    private func create(_ scheduler: Scheduler, _ text: String, name: String = "book") async throws
      -> SessionCard
    {
      for try await event in try await scheduler.createSession(name: name, text: text) {
        if case .ready(let card) = event { return card }
      }
      throw CancellationError()
    }

    /// Read once, then answered from the files by two servers in a row: the same answer each time.
    @Test func documentsAreThereAfterARestart() async throws {
      let text = try TestText.read("alice.txt", characters: 1500)
      let first = try await start()
      let card = try await create(first, text, name: "Alice – chapter 1")
      #expect(card.state == .ready)
      #expect(!card.isReadOnly)
      // What is ready is on the disk, whatever happens to the server.
      #expect(try Session.verify(at: "\(folder)/\(card.id)").tokenCount == card.tokens)
      let answer = try await first.ask("What did Alice see?", tokens: 12, session: card.id)
      #expect(answer.cachedTokens == card.tokens)
      await #expect(throws: SessionSetupError.folderInUse(path: folder)) { _ = try await start() }
      await first.stop()

      try FileManager.default.createDirectory(
        atPath: "\(folder)/ses-unfinished.x1.tmp", withIntermediateDirectories: true)
      try FileManager.default.createDirectory(atPath: "\(folder)/damaged", withIntermediateDirectories: true)
      let second = try await start()
      #expect(second.notes.count == 1)
      #expect(second.notes.first?.contains("damaged") == true, "\(second.notes)")
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/ses-unfinished.x1.tmp"))
      let found = try #require(await second.sessions().first)
      #expect(await second.sessions().count == 1)
      #expect(found.id == card.id)
      #expect(found.name == card.name)
      #expect(found.tokens == card.tokens)
      #expect(found.state == .stored)
      let again = try await second.ask("What did Alice see?", tokens: 12, session: card.id)
      #expect(again.cachedTokens == card.tokens)
      #expect(again.text == answer.text)
      #expect(try await second.session(card.id).state == .ready)
      try await second.deleteSession(card.id)
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/\(card.id)"))
      await second.stop()
    }

    /// Two documents where memory has room for one: both are mapped, and neither is read again.
    @Test func storedDocumentsNeedNoMemory() async throws {
      let scheduler = try await start { $0.memoryBudget = 650 * 26_500 }
      let first = try await create(scheduler, TestText.read("alice.txt", characters: 1500))
      let second = try await create(scheduler, TestText.read("persuasion.txt", characters: 1500))
      for card in [first, second, first] {
        #expect(try await scheduler.session(card.id).state != .evicted)
        let answer = try await scheduler.ask("Who?", tokens: 2, session: card.id)
        #expect(answer.cachedTokens == card.tokens)
      }
      // The client knows of the end of an answer a little before the engine has counted.
      var bytes = Int.max
      for _ in 0..<100 where bytes >= 650 * 26_500 {
        bytes = await scheduler.statistics().contextBytes
        try await Task.sleep(for: .milliseconds(20))
      }
      #expect(bytes < 650 * 26_500)
      await scheduler.stop()
    }

    /// Sessions from elsewhere are served by their name, and never changed.
    @Test func givenSessionsAreReadOnly() async throws {
      let text = try TestText.read("alice.txt", characters: 1500)
      let uploader = try await start()
      let card = try await create(uploader, text)
      let answer = try await uploader.ask("What did Alice see?", tokens: 12, session: card.id)
      await uploader.stop()
      let path = folder + "-given/alice"
      try FileManager.default.createDirectory(
        atPath: folder + "-given", withIntermediateDirectories: true)
      try Session.copy("\(folder)/\(card.id)", to: path)
      let scheduler = try await Scheduler.start { $0.sessions = [path] }
      #expect(await scheduler.sessions().map(\.id) == ["alice"])
      let given = try await scheduler.ask("What did Alice see?", tokens: 12, session: "alice")
      #expect(given.text == answer.text)
      #expect(given.cachedTokens == card.tokens)
      await #expect(throws: ServingError.readOnlySession("alice")) {
        try await scheduler.deleteSession("alice")
      }
      #expect(try Session.verify(at: path).tokenCount == card.tokens)
      await scheduler.stop()
      // The same text twice: whichever is asked, a conversation is not taken for the document.
      let both = try await start { $0.sessions = [path] }
      _ = try await both.ask("Who?", tokens: 2, session: "alice")
      let bytes = try await both.session("alice").bytes
      for id in ["alice", card.id, "alice"] {
        let answer = try await both.ask("Tell me a long story about it.", tokens: 40, session: id)
        #expect(answer.cachedTokens >= card.tokens)
      }
      #expect(try await both.session("alice").bytes == bytes)
      await both.stop()
      await #expect(throws: SessionSetupError.sameName("alice", paths: [path, path])) {
        _ = try await Scheduler.start { $0.sessions = [path, path] }
      }
      await #expect(throws: SessionError.notFound(path: path + "x")) {
        _ = try await Scheduler.start { $0.sessions = [path + "x"] }
      }
      await #expect(throws: SessionSetupError.unsupportedPolicy(name: "streaming")) {
        _ = try await Scheduler.start {
          $0.sessions = [path]
          $0.attention = .streaming(.init())
        }
      }
    }

    /// A file that another program cuts short fails the question that reads it, and no other; the document is read
    /// again.
    @Test func cutFilesFailOneQuestion() async throws {
      let scheduler = try await start()
      let first = try await create(scheduler, TestText.read("alice.txt", characters: 3000))
      let second = try await create(scheduler, TestText.read("persuasion.txt", characters: 3000))
      let answer = try await scheduler.ask("What did Alice see?", tokens: 12, session: first.id)
      let names = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(first.id)")
      for name in names where name.hasPrefix("rows") {
        #expect(truncate("\(folder)/\(first.id)/\(name)", 1 << 16) == 0)
      }
      await #expect {
        _ = try await scheduler.ask("What did Alice see?", tokens: 12, session: first.id)
      } throws: { error in
        guard case ServingError.engineFailure(let reason) = error else { return false }
        return reason.contains("became shorter")
      }
      #expect(try await scheduler.ask("Who?", tokens: 2, session: second.id).cachedTokens == second.tokens)
      let again = try await scheduler.ask("What did Alice see?", tokens: 12, session: first.id)
      #expect(again.text == answer.text)
      #expect(again.cachedTokens < first.tokens)
      await scheduler.stop()
    }

    /// A client that leaves while its document is read leaves nothing behind.
    @Test func leavingLeavesNothing() async throws {
      let scheduler = try await start()
      let text = try TestText.read("alice.txt", characters: 3000)
      func leave() async throws {
        for try await event in try await scheduler.createSession(name: "x", text: text) {
          if case .progress = event { return }
        }
      }
      try await leave()
      for _ in 0..<500 where !(await scheduler.sessions().isEmpty) {
        try await Task.sleep(for: .milliseconds(10))
      }
      #expect(await scheduler.sessions().isEmpty)
      await scheduler.stop()
      #expect(SessionStore(folder: folder).list().sessions.isEmpty)
    }
  }
}
