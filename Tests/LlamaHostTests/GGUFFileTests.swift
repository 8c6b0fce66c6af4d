import Foundation
import LlamaHost
import Platform
import TestSupport
import Testing

extension HostTests {
  @Suite struct GGUFFileTests {
    /// The error of validating `bytes`, nil when they are fine.
    private func error(_ bytes: [UInt8]) -> GGUFError? {
      bytes.withUnsafeBytes { buffer in
        do throws(GGUFError) {
          _ = try GGUFFile(validating: ByteReader(buffer), path: "memory")
          return nil
        } catch {
          return error
        }
      }
    }

    private func isTruncated(_ error: GGUFError?) -> Bool {
      if case .truncated = error { true } else { false }
    }

    @Test func readsAValidFile() throws {
      let directory = try ScratchDirectory()
      let bytes = TinyGGUF().build()
      let file = try GGUFFile(validating: directory.write(bytes))
      #expect(file.version == 3)
      #expect(file.byteCount == bytes.count)
      #expect(file.shards == [file.path])
      #expect(file.architecture == "llama")
      #expect(file.integer("llama.block_count") == 2)
      #expect(file.number("llama.block_count") == 2)
      #expect(file.number("llama.rope.freq_base") == 10_000)
      #expect(file.boolean("flag") == true)
      #expect(file.integers("list.numbers") == [-1, 7])
      #expect(file.integers("llama.block_count") == [2])
      #expect(file.metadata["general.tags"] == .strings(["a", "b"]))
      #expect(file.string("llama.block_count") == nil)
      #expect(file.tensors.map(\.name) == ["token_embd.weight", "output_norm.weight"])
      #expect(file.tensors[0].shape == [8, 4])
      #expect(file.tensors[0].typeName == "f32")
      #expect(file.tensors[0].byteCount == 128)
    }

    @Test func wellFormedButUselessModelIsAnErrorWithTheHostsReason() throws {
      let directory = try ScratchDirectory()
      let path = try directory.write(TinyGGUF().build())
      let error = #expect(throws: LlamaError.self) { try LlamaModel.load(path: path) }
      guard case .modelNotLoaded(_, let log) = error else {
        Issue.record("unexpected \(String(describing: error))")
        return
      }
      #expect(!log.isEmpty)
    }

    @Test func pathProblems() throws {
      let directory = try ScratchDirectory()
      let missing = directory.url.appending(path: "none.gguf").path
      #expect(throws: GGUFError.notFound(path: missing)) { try GGUFFile(validating: missing) }
      let folder = directory.url.path
      #expect(throws: GGUFError.isDirectory(path: folder)) { try GGUFFile(validating: folder) }
      let empty = try directory.write([])
      #expect(throws: GGUFError.empty(path: empty)) { try GGUFFile(validating: empty) }
      let text = try directory.write(Array("hello".utf8), name: "text")
      let expected = GGUFError.notGGUF(path: text, firstBytes: Array("hell".utf8))
      #expect(throws: expected) { try GGUFFile(validating: text) }
      #expect("\(expected)".contains("68 65 6c 6c (\"hell\")"))
      #expect(expected.localizedDescription == expected.description)
    }

    @Test(.enabled(if: geteuid() != 0, "nothing is unreadable for the superuser"))
    func unreadableFile() throws {
      let directory = try ScratchDirectory()
      let path = try directory.write(TinyGGUF().build())
      try FileManager.default.setAttributes([.posixPermissions: 0], ofItemAtPath: path)
      let error = #expect(throws: GGUFError.self) { try GGUFFile(validating: path) }
      guard case .unreadable = error else {
        Issue.record("unexpected \(String(describing: error))")
        return
      }
    }

    @Test(arguments: [0, 1, 4, 0x0300_0000])
    func otherVersions(_ version: UInt32) throws {
      var file = TinyGGUF()
      file.version = version
      guard case .unsupportedVersion(_, Int(version)) = error(file.build()) else {
        Issue.record("version \(version) was accepted")
        return
      }
    }

    @Test func everyTruncationIsFound() throws {
      let bytes = TinyGGUF().build()
      for length in 0..<bytes.count {
        #expect(error(Array(bytes.prefix(length))) != nil, "length \(length)")
      }
    }

    @Test func missingDataIsReportedWithSizes() throws {
      var file = TinyGGUF()
      file.missingDataBytes = 3
      let size = UInt64(file.build().count)
      guard case .truncated(_, _, size + 3, size) = error(file.build()) else {
        Issue.record("unexpected \(String(describing: error(file.build())))")
        return
      }
    }

    @Test(arguments: [UInt64(1_000_000), UInt64.max, UInt64(Int64.max)])
    func absurdCounts(_ count: UInt64) throws {
      var file = TinyGGUF()
      file.claimedTensorCount = count
      guard case .absurdCount(_, "tensors", count, _) = error(file.build()) else {
        Issue.record("tensors: \(String(describing: error(file.build())))")
        return
      }
      file = TinyGGUF()
      file.claimedKeyCount = count
      guard case .absurdCount(_, "metadata entries", count, _) = error(file.build()) else {
        Issue.record("keys: \(String(describing: error(file.build())))")
        return
      }
      file = TinyGGUF()
      file.set("list", TinyGGUF.bytes(UInt32(9)) + TinyGGUF.bytes(UInt32(5)) + TinyGGUF.bytes(count))
      guard case .absurdCount(_, _, count, _) = error(file.build()) else {
        Issue.record("array: \(String(describing: error(file.build())))")
        return
      }
      file = TinyGGUF()
      file.set("text", TinyGGUF.bytes(UInt32(8)) + TinyGGUF.bytes(count))
      #expect(isTruncated(error(file.build())))
    }

    @Test(
      arguments: [
        ([], 0), ([1, 1, 1, 1, 1], 0), ([0], 0), ([UInt64.max], 0), ([1 << 40, 1 << 40], 0), ([1 << 62], 0),
        ([31], 2), ([32], 999), ([32], UInt32.max), ([32], 4), ([1 << 30], 0),
      ] as [([UInt64], UInt32)])
    func badTensors(_ shape: [UInt64], _ type: UInt32) throws {
      var file = TinyGGUF()
      file.tensors[1] = ("bad", shape, type)
      #expect(error(file.build()) != nil)
    }

    @Test func duplicatesAndNames() throws {
      var file = TinyGGUF()
      file.tensors[1].name = file.tensors[0].name
      #expect(error(file.build()) != nil)
      file = TinyGGUF()
      file.tensors[1].name = String(repeating: "n", count: 64)
      #expect(error(file.build()) != nil)
      file = TinyGGUF()
      file.metadata.append(file.metadata[0])
      #expect(error(file.build()) != nil)
      file = TinyGGUF()
      file.metadata.append(("", TinyGGUF.scalar(1)))
      #expect(error(file.build()) != nil)
    }

    /// Well-formed metadata that would end the process inside the host, or make it read beyond an array.
    @Test(arguments: [
      ("general.architecture", TinyGGUF.scalar(7)), ("general.alignment", TinyGGUF.scalar(UInt32(24))),
      ("general.alignment", TinyGGUF.scalar(UInt32(0))), ("llama.block_count", TinyGGUF.scalar(UInt32(0))),
      ("llama.block_count", TinyGGUF.scalar(UInt32(100_000))),
      ("llama.embedding_length", TinyGGUF.scalar(UInt32(0))),
      ("llama.attention.head_count_kv", TinyGGUF.scalar(UInt32(3))),
      ("llama.rope.dimension_count", TinyGGUF.scalar(UInt32(7))),
      ("tokenizer.ggml.tokens", TinyGGUF.scalar("no array")),
      ("tokenizer.ggml.tokens", TinyGGUF.array(5, [TinyGGUF.bytes(Int32(1))])),
      ("flag", TinyGGUF.bytes(UInt32(7)) + [2]),
      ("nested", TinyGGUF.bytes(UInt32(9)) + TinyGGUF.bytes(UInt32(9)) + TinyGGUF.bytes(UInt64(0))),
      ("type", TinyGGUF.bytes(UInt32(13))),
    ])
    func badMetadata(_ key: String, _ value: [UInt8]) throws {
      var file = TinyGGUF()
      file.set(key, value)
      #expect(error(file.build()) != nil)
    }

    @Test func vocabularyArraysMustFitTogether() throws {
      var file = TinyGGUF()
      file.set("tokenizer.ggml.tokens", TinyGGUF.array(8, [TinyGGUF.text("a"), TinyGGUF.text("b")]))
      #expect(error(file.build()) == nil)
      file.set("tokenizer.ggml.scores", TinyGGUF.array(6, [TinyGGUF.bytes(Float(1).bitPattern)]))
      #expect(error(file.build()) != nil)
      file.set(
        "tokenizer.ggml.scores", TinyGGUF.array(5, [TinyGGUF.bytes(Int32(1)), TinyGGUF.bytes(Int32(2))]))
      #expect(error(file.build()) != nil)
    }

    /// Whatever the bytes, the answer is a file or an error.
    @Test func randomDamageNeverCrashes() throws {
      var random = SplitMix(state: 7)
      let original = TinyGGUF().build()
      for _ in 0..<20_000 {
        var bytes = original
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          let value = [UInt8.random(in: 0...255, using: &random), 0, 0x7F, 0x80, 0xFF].randomElement(
            using: &random)
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = value ?? 0
        }
        _ = error(bytes)
      }
    }

    @Test func realHeaderCutAnywhere() throws {
      let path = try TestModel.path()
      let file = try GGUFFile(validating: path)
      #expect(file.architecture == "llama")
      #expect(file.tensors.count > 200)
      let handle = try #require(FileHandle(forReadingAtPath: path))
      let head = [UInt8](try #require(try handle.read(upToCount: 4 << 20)))
      let directory = try ScratchDirectory()
      var random = SplitMix(state: 1)
      let lengths =
        (0..<40).map { _ in Int.random(in: 1..<head.count, using: &random) } + [1, 4, 8, 24, head.count]
      for length in lengths {
        let cut = try directory.write(Array(head.prefix(length)))
        let error = #expect(throws: GGUFError.self, "length \(length)") { try GGUFFile(validating: cut) }
        #expect(error?.description.isEmpty == false)
      }
    }

    // MARK: Shards

    private func shard(_ index: UInt16, of count: UInt16) -> [UInt8] {
      var file = TinyGGUF()
      func number(_ value: UInt16) -> [UInt8] { TinyGGUF.bytes(UInt32(2)) + TinyGGUF.bytes(value) }
      file.set("split.no", number(index))
      file.set("split.count", number(count))
      file.set("split.tensors.count", TinyGGUF.bytes(UInt32(5)) + TinyGGUF.bytes(Int32(4)))
      return file.build()
    }

    @Test func shardsAreFoundByName() throws {
      let directory = try ScratchDirectory()
      let path = try directory.write(shard(0, of: 2), name: "m-00001-of-00002.gguf")
      let second = try directory.write(shard(1, of: 2), name: "m-00002-of-00002.gguf")
      let file = try GGUFFile(validating: path)
      #expect(file.shards == [path, second])
      #expect(file.tensors.count == 4)
      #expect(file.tensors.map(\.shard) == [0, 0, 1, 1])
      #expect(throws: GGUFError.notFirstShard(path: second, index: 2, count: 2)) {
        try GGUFFile(validating: second)
      }
    }

    @Test func shardProblems() throws {
      let directory = try ScratchDirectory()
      let path = try directory.write(shard(0, of: 2), name: "m-00001-of-00002.gguf")
      #expect(throws: GGUFError.self) { try GGUFFile(validating: path) }
      let second = try directory.write(shard(0, of: 2), name: "m-00002-of-00002.gguf")
      #expect(throws: GGUFError.self) { try GGUFFile(validating: path) }
      _ = try directory.write(Array(shard(1, of: 2).dropLast(1)), name: "m-00002-of-00002.gguf")
      let error = #expect(throws: GGUFError.self) { try GGUFFile(validating: path) }
      #expect(error?.description.contains(second) == true)
      let renamed = try directory.write(shard(0, of: 2), name: "other.gguf")
      #expect(throws: GGUFError.self) { try GGUFFile(validating: renamed) }
    }
  }
}
