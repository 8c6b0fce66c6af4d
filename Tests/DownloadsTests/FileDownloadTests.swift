// Files from a server that breaks off, changes its mind or lies.

import Foundation
import Platform
import Synchronization
import TestSupport
import Testing

@testable import Downloads

@Suite(.serialized) struct FileDownloadTests {
  private let folder: TemporaryFolder
  private let body = modelBytes(300_000)

  init() throws { folder = try TemporaryFolder() }

  private var sum: String {
    var sum = SHA256()
    body.withUnsafeBytes { sum.update($0) }
    return sum.hexadecimal
  }

  private func download(_ address: String, size: Int? = nil, sum: String? = nil) -> FileDownload {
    var download = FileDownload(
      request: WebRequest(), address: address, target: folder.url("model.gguf").path,
      partial: PartialFile(path: folder.url("model.gguf.part").path), size: size, sum: sum)
    download.pace = 0
    return download
  }

  private var names: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.url("").path)) ?? []).sorted()
  }

  @Test func `A file arrives whole, and is told of on the way`() throws {
    let server = try FileServer { [body] in .file(body, mark: "\"a\"", for: $0) }
    defer { server.stop() }
    var told: [Int] = []
    let result = try download(server.address + "/model.gguf").run {
      if case .progress(let bytes, let total) = $0 {
        told.append(bytes)
        #expect(total == 300_000)
      }
    }
    #expect(result.sum == sum)
    #expect(!result.wasKnown)
    #expect(told.last == body.count && told == told.sorted())
    #expect(try Data(contentsOf: folder.url("model.gguf")) == body)
    #expect(names == ["model.gguf"])
  }

  @Test func `A connection that breaks off is taken up where it was`() throws {
    let server = try FileServer { [body] request in
      var response = FileServer.Response.file(body, mark: "\"a\"", for: request)
      response.cut = 100_000
      return response
    }
    defer { server.stop() }
    var notes = 0
    _ = try download(server.address + "/m", sum: sum).run { if case .note = $0 { notes += 1 } }
    #expect(try Data(contentsOf: folder.url("model.gguf")) == body)
    #expect(server.requests.map { $0.headers["range"] } == [nil, "bytes=100000-", "bytes=200000-"])
    #expect(notes == 2)
  }

  @Test func `A later run goes on, on the condition that the file is the same`() throws {
    let cutting = Mutex(true)
    let mark = Mutex("\"a\"")
    let server = try FileServer { [body] request in
      var response = FileServer.Response.file(body, mark: mark.withLock { $0 }, for: request)
      // Nothing more comes after the first part.
      if cutting.withLock({ $0 }) { response.cut = request.headers["range"] == nil ? 120_000 : 0 }
      return response
    }
    defer { server.stop() }
    let work = download(server.address + "/m")
    #expect(throws: DownloadError.self) { try work.run { _ in } }
    #expect(names == ["model.gguf.part", "model.gguf.part.json"])
    cutting.withLock { $0 = false }
    let before = server.requests.count
    _ = try work.run { _ in }
    #expect(
      server.requests[before...].map { [$0.headers["range"], $0.headers["if-range"]] } == [
        ["bytes=120000-", "\"a\""]
      ])
    #expect(try Data(contentsOf: folder.url("model.gguf")) == body)

    // Another file by then: everything comes anew.
    try FileManager.default.removeItem(at: folder.url("model.gguf"))
    cutting.withLock { $0 = true }
    #expect(throws: DownloadError.self) { try work.run { _ in } }
    cutting.withLock { $0 = false }
    mark.withLock { $0 = "\"b\"" }
    _ = try work.run { _ in }
    #expect(try Data(contentsOf: folder.url("model.gguf")) == body)
  }

  @Test func `Without a mark or a sum nothing is joined to what was there`() throws {
    let server = try FileServer { [body] in .file(body, for: $0) }
    defer { server.stop() }
    try Data("GGUF of another file".utf8).write(to: folder.url("model.gguf.part"))
    _ = try download(server.address + "/m").run { _ in }
    #expect(server.requests.map { $0.headers["range"] } == [nil])
    #expect(try Data(contentsOf: folder.url("model.gguf")) == body)
  }

  @Test func `A file of another sum is removed`() throws {
    let server = try FileServer { [body] in .file(body, for: $0) }
    defer { server.stop() }
    let wrong = String(repeating: "0", count: 64)
    #expect(
      throws: DownloadError.otherContents(
        name: "model.gguf", expected: wrong, found: sum, byteCount: body.count)
    ) { try download(server.address + "/m", sum: wrong).run { _ in } }
    #expect(names.isEmpty)
  }

  @Test func `A part that is wrong is found by the sum`() throws {
    let server = try FileServer { [body] in .file(body, for: $0) }
    defer { server.stop() }
    try Data(repeating: 7, count: 1000).write(to: folder.url("model.gguf.part"))
    #expect(throws: DownloadError.self) { try download(server.address + "/m", sum: sum).run { _ in } }
    #expect(names.isEmpty)
    _ = try download(server.address + "/m", sum: sum).run { _ in }
    #expect(try Data(contentsOf: folder.url("model.gguf")) == body)
  }

  @Test func `The sum that a redirection tells is compared`() throws {
    let linked = Mutex(sum)
    let server = try FileServer { [body] request in
      guard request.path == "/resolve" else { return .file(body, for: request) }
      return FileServer.Response(
        status: 302,
        headers: [
          "Location": "/blob?key=secret", "X-Linked-ETag": "\"\(linked.withLock { $0 })\"",
          "X-Linked-Size": "300000",
        ])
    }
    defer { server.stop() }
    let result = try download(server.address + "/resolve").run { _ in }
    #expect(result.wasKnown && result.sum == sum)
    linked.withLock { $0 = String(repeating: "1", count: 64) }
    try FileManager.default.removeItem(at: folder.url("model.gguf"))
    #expect(throws: DownloadError.self) { try download(server.address + "/resolve").run { _ in } }
    #expect(names.isEmpty)
  }

  @Test func `Keys go to the first server alone`() throws {
    let blobs = try FileServer { [body] in .file(body, for: $0) }
    defer { blobs.stop() }
    let target = blobs.address + "/blob"
    let server = try FileServer { _ in FileServer.Response(status: 307, headers: ["Location": target]) }
    defer { server.stop() }
    var work = download(server.address.replacing("http://", with: "http://name:word@") + "/m", sum: sum)
    work.request.privateHeaders = (server.address, ["Authorization: Bearer secret"])
    _ = try work.run { _ in }
    #expect(server.requests.allSatisfy { $0.headers["authorization"] != nil })
    #expect(blobs.requests.map { $0.headers["authorization"] } == [nil])
  }

  @Test func `What a server refuses is not asked for again`() throws {
    let server = try FileServer { _ in FileServer.Response(status: 404, body: Data("no".utf8)) }
    defer { server.stop() }
    let address = server.address + "/m?token=secret"
    let error = #expect(throws: DownloadError.self) { try download(address).run { _ in } }
    #expect(error == .refused(address: address, status: 404))
    #expect(error?.description.contains("secret") == false)
    #expect(error?.description.contains("404") == true)
    #expect(server.requests.count == 1)
    #expect(names.isEmpty)
  }

  @Test func `A server that only fails is asked five times`() throws {
    let server = try FileServer { _ in FileServer.Response(status: 503) }
    defer { server.stop() }
    let error = #expect(throws: DownloadError.self) { try download(server.address + "/m").run { _ in } }
    #expect(server.requests.count == 5)
    #expect(error?.description.contains("503") == true)
  }

  @Test func `Redirections in a circle end`() throws {
    let server = try FileServer { _ in FileServer.Response(status: 302, headers: ["Location": "/m"]) }
    defer { server.stop() }
    #expect(throws: DownloadError.tooManyRedirections(address: server.address + "/m")) {
      try download(server.address + "/m").run { _ in }
    }
  }

  @Test func `Something that is not HTTP is told`() throws {
    let error = #expect(throws: DownloadError.self) { try download("ftp://127.0.0.1/m").run { _ in } }
    #expect(error == .notAnAddress("ftp://127.0.0.1/m"))
    // Nobody listens at port 9 of this machine.
    let refused = #expect(throws: DownloadError.self) { try download("http://127.0.0.1:9/m").run { _ in } }
    guard case .unreachable? = refused else {
      Issue.record("\(String(describing: refused))")
      return
    }
  }

  @Test func `A size that is known is compared before anything is written`() throws {
    let server = try FileServer { [body] in .file(body, for: $0) }
    defer { server.stop() }
    #expect(throws: DownloadError.otherSize(name: "model.gguf", expected: 5, found: 300_000)) {
      try download(server.address + "/m", size: 5, sum: sum).run { _ in }
    }
    #expect(names.isEmpty)
  }

  @Test func `A disk without room is told before the download`() throws {
    let server = try FileServer { _ in
      FileServer.Response(headers: ["Content-Length": "\(1 << 60)"], body: Data("GGUF".utf8))
    }
    defer { server.stop() }
    let error = #expect(throws: DownloadError.self) { try download(server.address + "/m").run { _ in } }
    guard case .noSpace? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(names.isEmpty)
  }

  @Test func `A cancelled download keeps what has come`() async throws {
    let server = try FileServer { [body] request in
      var response = FileServer.Response.file(body, mark: "\"a\"", for: request)
      response.cut = 50_000
      return response
    }
    defer { server.stop() }
    var work = download(server.address + "/m", sum: sum)
    work.pace = 1
    let task = Task.detached { [work] in try work.run { _ in } }
    while work.partial.byteCount < 50_000 { try await Task.sleep(for: .milliseconds(5)) }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(work.partial.byteCount >= 50_000)
    #expect(!FileManager.default.fileExists(atPath: work.target))
  }
}
