// Files of a session that another program cuts short while they are open: told, and nothing else is touched.

import Foundation
import Generation
import LlamaHost
import RetrievalAttention
import Testing

extension GenerationTests {
  @Suite struct CutFileTests {
    let host: GuestHost
    let tokens: [Int32]

    init() throws {
      host = try SharedHost.load()
      tokens = try TestText.tokens("alice.txt", 1000, model: host.model)
    }

    private func make(_ path: String, policy: AttentionPolicy) throws {
      let session = try Session.create(at: path, host: host, policy: policy)
      try session.ingest(Array(tokens[..<900]))
    }

    private func cut(_ folder: SessionFolder, _ prefix: String) throws -> String {
      let name = try #require(folder.names("a").last { $0.hasPrefix(prefix) })
      let path = folder.path("a") + "/" + name
      // All but the header and the first rows.
      try #require(truncate(path, 1 << 16) == 0)
      return path
    }

    @Test(arguments: [AttentionPolicy.exact, .retrieval(earlyIndex)], ["rows", "indx"])
    func `A step after it throws, a session beside it goes on`(policy: AttentionPolicy, prefix: String) throws
    {
      if prefix == "indx", policy == .exact { return }
      let folder = try SessionFolder()
      try make(folder.path("a"), policy: policy)
      try FileManager.default.copyItem(atPath: folder.path("a"), toPath: folder.path("b"))
      let (session, other) = (
        try Session.open(folder.path("a"), host: host, access: .write),
        try Session.open(folder.path("b"), host: host)
      )
      let fork = try session.fork()
      let path = try cut(folder, prefix)
      // Every row of exact attention is read by the first step; of an index, what the step looks up.
      #expect {
        for token in tokens[900..<940] { _ = try session.runner.decode(token) }
      } throws: { error in
        error as? StorageError == .cutShort(path: path)
      }
      #expect(throws: StorageError.cutShort(path: path)) { try session.runner.decode(tokens[940]) }
      // Nothing worthless gets to the disk.
      session.attributes["note"] = "x"
      #expect(throws: StorageError.cutShort(path: path)) { try session.save() }
      #expect(throws: (any Error).self) { for token in tokens[900..<940] { _ = try fork.decode(token) } }
      #expect(try other.runner.answers(tokens[900..<904]).count == 4)
      #expect(throws: (any Error).self) { try Session.open(folder.path("a"), host: host) }
    }
  }
}
