// Sessions as files: locks, copies, damage, other models, full disks, names.

import Foundation
import Generation
import LlamaHost
import Platform
import RetrievalAttention
import Testing
import VectorIndex

extension GenerationTests {
  @Suite struct SessionFileTests {
    let host: GuestHost
    let folder: SessionFolder
    let tokens: [Int32]

    /// A session `a` of 40 tokens in two saves.
    init() throws {
      host = try SharedHost.load()
      folder = try SessionFolder()
      tokens = try TestText.tokens("alice.txt", 60, model: host.model)
      let session = try Session.create(at: folder.path("a"), host: host, policy: .exact)
      try session.ingest(Array(tokens[..<36]))
      _ = try session.runner.answers(tokens[36..<40])
      try session.save()
    }

    private var path: String { folder.path("a") }
    private var manifestPath: String { folder.path("a/manifest.json") }

    private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }
    private func write(_ data: Data, _ path: String) throws { try data.write(to: URL(fileURLWithPath: path)) }

    @Test func oneWriterAndManyReaders() throws {
      let writer = try Session.open(path, host: host, access: .write)
      #expect {
        _ = try Session.open(path, host: host, access: .write)
      } throws: { error in
        guard case SessionError.locked(_, let owner) = error else { return false }
        return owner.contains("process \(getpid())")
      }
      #expect(throws: SessionError.self) { try Session.remove(path) }
      let reader = try Session.open(path, host: host)
      #expect(throws: SessionError.readOnly(path: path)) { try reader.save() }
      #expect(throws: SessionError.readOnly(path: path)) { try reader.ingest([1]) }
      // The writer replaces files that the reader has open.
      _ = try writer.runner.answers(tokens[40..<44])
      try writer.save()
      let another = try Session.open(path, host: host)
      #expect(another.tokenCount == 44)
      #expect(reader.tokenCount == 40)
      _ = try reader.runner.answers(tokens[40..<44])
      let next = try another.runner.answers(tokens[44..<46])
      #expect(try reader.runner.answers(tokens[44..<46]) == next)
      #expect(try writer.runner.answers(tokens[44..<46]) == next)
    }

    @Test func nothingIsWrittenTwice() throws {
      let session = try Session.open(path, host: host, access: .write)
      let names = folder.names("a")
      try session.save()
      #expect(folder.names("a") == names, "there was nothing to save")
      // What an interrupted save leaves goes with the next writer; what is not ours stays.
      for name in ["rows-000099", "stat-000007", "manifest.json.x.tmp", "notes.txt"] {
        try write(Data("?".utf8), folder.path("a/\(name)"))
      }
      session.attributes["a"] = "b"
      try session.save()
      let after = Set(folder.names("a"))
      #expect(after.contains("notes.txt"))
      #expect(!after.contains("rows-000099") && !after.contains("manifest.json.x.tmp"))
      try Session.verify(at: path)
    }

    @Test func copiesShareFilesAndGoTheirOwnWay() throws {
      let copy = try Session.copy(path, to: folder.path("b"))
      #expect(copy.tokenCount == 40)
      #expect(throws: SessionError.exists(path: path)) { try Session.copy(folder.path("b"), to: path) }
      for name in folder.names("b") where name.hasPrefix("rows") {
        let attributes = try FileManager.default.attributesOfItem(atPath: folder.path("b/\(name)"))
        #expect(attributes[.referenceCount] as? Int == 2, "\(name)")
      }
      do {
        let session = try Session.open(folder.path("b"), host: host, access: .write)
        _ = try session.runner.answers(tokens[50..<54])
        try session.save()
      }
      #expect(try Session.verify(at: folder.path("b")).tokenCount == 44)
      #expect(try Session.verify(at: path).tokenCount == 40)
      try Session.remove(path)
      #expect(throws: SessionError.notFound(path: path)) { try Session.remove(path) }
      try Session.verify(at: folder.path("b"))
      _ = try Session.open(folder.path("b"), host: host).runner.answers(tokens[54..<56])
    }

    @Test func aFullDiskLeavesTheLastSave() throws {
      // How much the same save writes elsewhere, so that the last limit is reached in the manifest.
      let plenty = WriteLimit(bytes: 1 << 30)
      try Session.copy(path, to: folder.path("b"))
      do {
        let copy = try Session.open(folder.path("b"), host: host, access: .write)
        _ = try copy.runner.answers(tokens[40..<44])
        try WriteLimit.$current.withValue(plenty) { try copy.save() }
      }
      try Session.remove(folder.path("b"))
      let size = (1 << 30) - plenty.bytesLeft
      let session = try Session.open(path, host: host, access: .write)
      let names = folder.names("a")
      let manifest = try bytes(manifestPath)
      _ = try session.runner.answers(tokens[40..<44])
      for limit in [0, 1000, size / 2, size - 100] {
        #expect(throws: StorageError.self, "\(limit) of \(size)") {
          try WriteLimit.$current.withValue(WriteLimit(bytes: limit)) { try session.save() }
        }
        #expect(folder.names("a") == names)
        #expect(try bytes(manifestPath) == manifest)
        try Session.verify(at: path)
      }
      try session.save()
      #expect(try Session.verify(at: path).tokenCount == 44)
      #expect(throws: StorageError.self) {
        try WriteLimit.$current.withValue(WriteLimit(bytes: 100)) {
          _ = try Session.create(at: folder.path("c"), host: host)
        }
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.root) == ["a"])
    }

    @Test func everyChangeOfAFileIsFound() throws {
      var generator = SystemRandomNumberGenerator()
      let count = ProcessInfo.processInfo.environment["RA_TEST_MUTATIONS"].flatMap(Int.init) ?? 400
      for name in folder.names("a") where name != "lock" {
        let file = folder.path("a/\(name)")
        let intact = try bytes(file)
        // The manifest is the only file with a format that is not checked by its header.
        for mutation in 0..<(name == "manifest.json" ? count : count / 16) {
          var damaged = intact
          let offset = Int.random(in: 0..<intact.count, using: &generator)
          switch mutation % 3 {
          case 0: damaged[offset] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
          case 1: damaged.removeLast(Int.random(in: 1...intact.count, using: &generator))
          default: damaged.insert(UInt8.random(in: 0...255, using: &generator), at: offset)
          }
          try write(damaged, file)
          var found: (any Error)?
          do { try Session.verify(at: path) } catch { found = error }
          #expect(
            found is SessionError || found is StorageError,
            "\(name), mutation \(mutation): \(String(describing: found))")
        }
        try write(intact, file)
      }
      try Session.verify(at: path)
    }

    @Test func otherSessionsFilesAreFound() throws {
      let other = try Session.create(at: folder.path("b"), host: host, policy: .exact)
      try other.ingest(Array(tokens[10..<50]))
      let names = folder.names("a").filter { $0.contains("-") }
      let foreign = folder.names("b").filter { $0.contains("-") }
      for name in names {
        let source = try #require(foreign.first { $0.prefix(4) == name.prefix(4) })
        let intact = try bytes(folder.path("a/\(name)"))
        try write(bytes(folder.path("b/\(source)")), folder.path("a/\(name)"))
        #expect(throws: StorageError.self, "\(name)") { _ = try Session.open(path, host: host) }
        try FileManager.default.removeItem(atPath: folder.path("a/\(name)"))
        #expect(throws: StorageError.self, "\(name)") { _ = try Session.open(path, host: host) }
        try write(intact, folder.path("a/\(name)"))
      }
      _ = try Session.open(path, host: host)
    }

    /// Manifests with a checksum that is right.
    @Test func otherModelsAndVersionsAreSaid() throws {
      let intact = String(decoding: try bytes(manifestPath), as: UTF8.self)
      func refusal(_ old: String, _ new: String) throws -> SessionError? {
        #expect(intact.contains(old), "\(old)")
        let changed = intact.replacingOccurrences(of: old, with: new)
        let end = try #require(changed.firstIndex(of: "\n"))
        let body = Data(changed[changed.index(after: end)...].utf8)
        try write(Data(firstLine(for: body).utf8) + body, manifestPath)
        do {
          _ = try Session.open(path, host: host)
          return nil
        } catch { return error as? SessionError }
      }
      // The sealing itself is right, and so is that of the format that knew no contents of documents.
      let second = Data(intact[intact.index(after: try #require(intact.firstIndex(of: "\n")))...].utf8)
      try write(Data(firstLine(for: second, version: 2).utf8) + second, manifestPath)
      #expect(try Session.open(path, host: host).tokenCount > 0)
      #expect(try refusal("\"format\":3", "\"format\":3") == nil)
      for (old, new, property) in [
        ("\"architecture\" : \"llama\"", "\"architecture\" : \"qwen2\"", "architecture"),
        ("scale 0.125, ", "scale 0.5, ", "layer 0"),
        ("\"vocabularySize\" : 49152", "\"vocabularySize\" : 49153", "vocabulary"),
        ("32 pairs ", "32 pairs 1", "layer 0"),
      ] {
        guard case .otherModel(_, let found, let expected, let actual) = try refusal(old, new) else {
          Issue.record("\(old) was accepted")
          continue
        }
        #expect(found == property)
        #expect(expected != actual)
      }
      for (old, new) in [
        ("\"commit\" : 3", "\"commit\" : -1"), ("\"name\" : \"stat-", "\"name\" : \"../stat-"),
        ("\"tokenCount\" : 40", "\"tokenCount\" : 4000000000000"), ("\"state\" :", "\"stat\" :"),
      ] {
        guard case .damagedManifest = try refusal(old, new) else {
          Issue.record("\(new) was accepted")
          continue
        }
      }
      try write(
        Data(intact.replacingOccurrences(of: "\"format\":3", with: "\"format\":4").utf8), manifestPath)
      #expect(
        throws: SessionError.unsupportedVersion(path: manifestPath, expected: 3, found: 4)
      ) { _ = try Session.open(path, host: host) }
      try write(Data(intact.utf8), manifestPath)
      _ = try Session.open(path, host: host)
    }

    /// Sessions of the first format, with attention's settings as members, open as they did.
    @Test func theFirstFormatIsRead() throws {
      var settings = earlyIndex
      settings.prefillTolerance = 0
      let policy = AttentionPolicy.retrieval(settings)
      let (path, manifestPath) = (folder.path("c"), folder.path("c/manifest.json"))
      _ = try Session.create(at: path, host: host, policy: policy)
      let intact = String(decoding: try bytes(manifestPath), as: UTF8.self)
      let now = "\"attention\" : \"\(policy.completeDescription)\""
      try #require(intact.contains(now))
      let (build, search) = (settings.build, settings.search)
      let first = """
        "attention" : { "name" : "retrieval", "retrieval" : {
          "sinkCount": \(settings.sinkCount), "windowCount": \(settings.windowCount),
          "segmentCount": \(settings.segmentCount), "insertionCount": \(settings.insertionCount),
          "minimumIndexedCount": \(settings.minimumIndexedCount), "clusterSize": \(build.clusterSize),
          "usesCodes": \(build.usesCodes), "iterations": \(build.iterations), "seed": \(build.seed),
          "tolerance": \(search.tolerance), "spreadFactor": \(search.spreadFactor),
          "refinement": \(search.refinement), "expansion": \(search.expansion),
          "minimumGroupedClusters": \(search.minimumGroupedClusters),
          "maximumRetrieved": \(search.maximumRetrieved), "layerTolerances": [] } }
        """
      let changed = intact.replacingOccurrences(of: now, with: first)
      let end = try #require(changed.firstIndex(of: "\n"))
      let body = Data(changed[changed.index(after: end)...].utf8)
      try write(Data(firstLine(for: body, version: 1).utf8) + body, manifestPath)
      let session = try Session.open(path, host: host)
      #expect(session.runner.context.policy == policy)
    }

    /// Those that do not tell were read exactly, and go on so.
    @Test func howPromptsAreReadIsPartOfASession() throws {
      var settings = earlyIndex
      (settings.prefillTolerance, settings.prefillStart) = (0.5, 300)
      let (path, manifestPath) = (folder.path("d"), folder.path("d/manifest.json"))
      _ = try Session.create(at: path, host: host, policy: .retrieval(settings))
      #expect(try Session.open(path, host: host).runner.context.policy.retrieval == settings)
      let intact = String(decoding: try bytes(manifestPath), as: UTF8.self)
      let older = intact.replacingOccurrences(of: ",prefill=0.5,prefill-start=300", with: "")
      try #require(older != intact)
      let end = try #require(older.firstIndex(of: "\n"))
      let body = Data(older[older.index(after: end)...].utf8)
      try write(Data(firstLine(for: body).utf8) + body, manifestPath)
      let opened = try Session.open(path, host: host).runner.context.policy.retrieval
      #expect(opened?.prefillTolerance == 0)
      #expect(opened?.windowCount == settings.windowCount)
    }

    /// As docs/session-format.md says.
    private func firstLine(for body: Data, version: Int = 3) -> String {
      let digits = String(body.withUnsafeBytes { CRC32C.checksum(of: $0) }, radix: 16)
      let checksum = String(repeating: "0", count: 8 - digits.count) + digits
      return "{\"format\":\(version),\"checksum\":\"\(checksum)\",\n"
    }

    @Test func pathsThatAreNoSessions() throws {
      let file = folder.path("file")
      try write(Data("x".utf8), file)
      #expect(throws: SessionError.notFound(path: folder.path("none"))) {
        _ = try SessionDescription(at: folder.path("none"))
      }
      #expect(throws: SessionError.self) { _ = try SessionDescription(at: file) }
      #expect(throws: SessionError.self) { _ = try SessionDescription(at: folder.root) }
      #expect(throws: SessionError.exists(path: file)) { _ = try Session.create(at: file, host: host) }
      #expect(throws: SessionError.exists(path: path)) { _ = try Session.create(at: path, host: host) }
      #expect(throws: SessionError.self) { try Session.remove(folder.root) }
      #expect(throws: SessionError.self) { _ = try Session.create(at: folder.path("x/y"), host: host) }
    }
  }
}

@Suite struct SessionStoreTests {
  @Test func namesLeadNowhereElse() throws {
    let folder = try SessionFolder()
    let store = SessionStore(folder: folder.path("sessions"))
    #expect(store.list().sessions.isEmpty)
    for name in ["alice", "a", "A-b_c.9", String(repeating: "x", count: 100)] {
      #expect(try store.path(for: name) == folder.path("sessions/\(name)"))
    }
    for name in [
      "", ".", "..", "../a", "a/b", "/etc", ".hidden", "a b", "a\0b", "ä", "a\n", "x.tmp",
      String(repeating: "x", count: 101),
    ] {
      #expect(throws: SessionError.invalidName(name)) { _ = try store.path(for: name) }
      #expect(throws: SessionError.invalidName(name)) { try store.remove(name) }
    }
    try FileManager.default.createDirectory(
      atPath: folder.path("sessions/empty"), withIntermediateDirectories: true)
    #expect(store.list().damaged.map(\.name) == ["empty"])
    #expect(throws: SessionError.self) { try store.remove("empty") }
    #expect(SessionStore.standard.folder.hasPrefix("/"))
  }
}
