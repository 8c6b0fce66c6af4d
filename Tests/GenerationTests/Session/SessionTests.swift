// Sessions of a real model: the same to the bit after reopening, and never confused with another model.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import Testing

extension GenerationTests {
  @Suite struct SessionTests {
    let host: GuestHost
    let tokens: [Int32]

    init() throws {
      host = try SharedHost.load()
      tokens = try TestText.tokens("alice.txt", 2400, model: host.model)
    }

    private var policies: [AttentionPolicy] { [.exact, .retrieval(Self.earlyIndex)] }

    /// An index from a few hundred tokens on, and insertions every 64.
    static var earlyIndex: RetrievalSettings {
      var settings = RetrievalSettings()
      settings.sinkCount = 32
      settings.windowCount = 128
      settings.segmentCount = 512
      settings.insertionCount = 64
      settings.minimumIndexedCount = 256
      return settings
    }

    private func answer(_ runner: GuestRunner, _ tokens: ArraySlice<Int32>) throws -> [[Float]] {
      try tokens.map { Array(try runner.decode($0).last) }
    }

    @Test func reopenedSessionsGoOnToTheBit() throws {
      for policy in policies {
        let folder = try SessionFolder()
        let reference = try GuestRunner(host: host, policy: policy, plannedTokens: 4096)
        _ = try reference.prefill(Array(tokens[..<1000]), progress: nil)
        do {
          let session = try Session.create(at: folder.path("a"), host: host, policy: policy)
          try session.ingest(
            Array(tokens[..<1000]),
            documents: [SessionDocument(name: "alice.txt", firstToken: 0, tokenCount: 1000)])
        }
        let expected = try answer(reference, tokens[1000..<1080])
        do {
          let session = try Session.open(folder.path("a"), host: host, access: .write)
          #expect(session.tokens == Array(tokens[..<1000]))
          #expect(session.documents.map(\.tokens) == [0..<1000])
          #expect(try answer(session.runner, tokens[1000..<1040]) == Array(expected[..<40]))
          try session.save()
        }
        let session = try Session.open(folder.path("a"), host: host)
        #expect(session.tokenCount == 1040)
        #expect(try answer(session.runner, tokens[1040..<1080]) == Array(expected[40...]))
        #expect(
          try Array(session.runner.prefill(Array(tokens[1080..<1400]), progress: nil).last)
            == Array(reference.prefill(Array(tokens[1080..<1400]), progress: nil).last))
        #expect((session.runner.engine.indexedTokenCount > 0) == (policy != .exact))
        try Session.verify(at: folder.path("a"))
      }
    }
  }
}
