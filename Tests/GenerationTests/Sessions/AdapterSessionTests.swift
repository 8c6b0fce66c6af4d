// A LoRA adapter changes keys and values: a session belongs to it as much as to the model.

import Foundation
import LlamaHost
import RetrievalAttention
import Testing

@testable import Generation

extension GenerationTests {
  @Suite struct AdapterSessionTests {
    private let scratch: ScratchDirectory
    private let pool: ThreadPool
    private let path: String
    private let adapter: String
    private let tokens = (0..<120).map { Int32(3 + $0 * 11 % 250) }

    init() throws {
      scratch = try ScratchDirectory()
      pool = try ThreadPool(threadCount: 1, poll: 0)
      let base = TinyModel.llama(context: 1024)
      path = try scratch.write(base.build())
      adapter = try scratch.write(
        TinyModel.adapter(of: base, ["blk.0.attn_k.weight", "blk.1.attn_v.weight"]).build(),
        name: "adapter.gguf")
    }

    private func host(_ adapters: [LoRAAdapter]) throws -> GuestHost {
      var options = LlamaModel.Options()
      options.adapters = adapters
      return try GuestHost(
        model: LlamaModel.load(path: path, options: options), pool: pool, batchCapacity: 64)
    }

    @Test func aSessionOpensWithItsAdapterAlone() throws {
      let folder = try SessionFolder()
      let given = [LoRAAdapter(path: adapter, scale: 0.5)]
      let expected: [[Float]]
      do {
        let session = try Session.create(at: folder.path("a"), host: host(given), policy: .exact)
        try session.ingest(Array(tokens[..<100]))
        expected = try session.fork().answers(tokens[100...])
      }
      let description = try SessionDescription(at: folder.path("a"))
      #expect(description.adapters?.map(\.scale) == [0.5])
      let stored = try #require(description.adapters)
      #expect(
        try Session.open(folder.path("a"), host: host(stored)).runner.answers(tokens[100...]) == expected)
      // The same contents in another place.
      let moved = try scratch.write(
        Array(Data(contentsOf: URL(fileURLWithPath: adapter))), name: "moved.gguf")
      _ = try Session.open(folder.path("a"), host: host([LoRAAdapter(path: moved, scale: 0.5)]))
      for others in [[], [LoRAAdapter(path: adapter)], stored + stored] {
        let error = #expect(throws: SessionError.self) {
          try Session.open(folder.path("a"), host: host(others))
        }
        guard case .otherModel(_, "LoRA adapters", let expected, _)? = error else {
          Issue.record("\(String(describing: error))")
          continue
        }
        #expect(expected.contains("adapter.gguf:0.5"))
      }
      #expect(try SessionDescription(at: folder.path("a")).tokenCount == 100)
    }
  }
}
