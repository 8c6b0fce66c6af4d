// One file from a server: resumed where it stopped, tried again, checked, and only then given its name.

import Foundation
import Platform

/// A file to be fetched.
struct FileDownload: Sendable {
  /// What happens, for whoever watches.
  enum Event {
    case progress(bytes: Int, total: Int?)
    case note(String)
    case checking(bytes: Int, total: Int)
  }

  /// Attempts in a row without a single byte gained; pauses of 1, 2, 4 and 8 seconds between them.
  private static let attempts = 5
  private static let largestPause = 8.0

  var request: WebRequest
  var address: String
  /// What it becomes.
  var target: String
  /// Where its bytes wait to be complete.
  var partial: PartialFile
  /// What the file is known to be; nil where only the server can tell.
  var size: Int?
  var sum: String?
  /// Looks at the first bytes, and throws for those of something else.
  var checkStart: (@Sendable (Data) throws -> Void)?
  /// Seconds of a pause of the length 1.
  var pace = 1.0

  /// Fetches the rest of it. Returns its sum and whether that was compared with one that was known.
  ///
  /// - Throws: ``DownloadError``, and `CancellationError`; what has arrived is kept but for what is wrong.
  func run(_ onEvent: (Event) -> Void) throws -> (sum: String, wasKnown: Bool) {
    try retrying({ try receive(onEvent) }, onEvent)
    return try check(onEvent)
  }

  /// Does something that a broken connection may end, again and again as long as that gains anything.
  func retrying<Result>(_ work: () throws -> Result, _ onEvent: (Event) -> Void) throws -> Result {
    var failures = 0
    while true {
      try Task.checkCancellation()
      let before = partial.byteCount
      do {
        return try work()
      } catch let broken as WebRequest.Broken {
        let gained = partial.byteCount > before
        failures = gained ? 1 : failures + 1
        guard !broken.isFinal, failures < Self.attempts else {
          throw DownloadError.unreachable(address: broken.address, reason: broken.reason)
        }
        let pause = min(Double(1 << (failures - 1)), Self.largestPause) * pace
        onEvent(.note("\(Address.host(broken.address)): \(broken.reason); trying again"))
        try Self.wait(pause)
      }
    }
  }

  /// Appends what the server still has to send; returns when all of it is there.
  private func receive(_ onEvent: (Event) -> Void) throws {
    let known = partial.origin
    var start = partial.byteCount
    let expected = size ?? known?.size
    if let expected, start == expected, start > 0 { return }
    if let expected, start > expected { start = 0 }
    // Without a sum from elsewhere or a mark nothing tells whether the server still has the same file.
    if sum == nil, known?.mark == nil, known?.sum == nil { start = 0 }
    var request = request
    if start > 0 {
      request.headers.append("Range: bytes=\(start)-")
      if sum == nil, let mark = known?.mark, Address.host(known?.address ?? "") == Address.host(address) {
        request.headers.append("If-Range: \(mark)")
      }
    }
    var writer: PartialFile.Writer?
    var total = expected
    let answer = try request.send(to: address) { answer in
      let begun = try begin(answer, at: start, known)
      total = begun.total
      writer = begun.writer
      return writer != nil
    } onBody: { piece in
      guard let writer else { return }
      if writer.byteCount == 0 { try checkStart?(piece) }
      try writer.write(piece)
      onEvent(.progress(bytes: writer.byteCount, total: total))
    }
    guard let writer else { return }
    let count = writer.byteCount
    guard answer.isComplete, count >= total ?? 0 else {
      throw WebRequest.Broken(
        address: answer.address, reason: answer.problem ?? "the connection closed early", isFinal: false)
    }
    if let total, count > total {
      partial.remove()
      throw DownloadError.otherSize(name: name, expected: total, found: count)
    }
  }

  /// Decides from the head of an answer what becomes of the body; without a writer everything is there already.
  private func begin(
    _ answer: WebRequest.Answer, at start: Int, _ known: PartialFile.Origin?
  ) throws -> (writer: PartialFile.Writer?, total: Int?) {
    let head = answer.head
    switch head.status {
    case 200, 206: break
    case 416 where head.totalSize == start && start > 0: return (nil, start)
    case 416:
      // The file is another one by now.
      partial.remove()
      throw WebRequest.Broken(address: answer.address, reason: "it has another file by now", isFinal: false)
    case 408, 425, 429, 500...599:
      throw WebRequest.Broken(
        address: answer.address, reason: "the server answers \(head.status)", isFinal: false)
    default: throw DownloadError.refused(address: answer.address, status: head.status)
    }
    let total = head.totalSize ?? answer.linked.linkedSize ?? size
    if let size, let told = head.totalSize, told != size {
      partial.remove()
      throw DownloadError.otherSize(name: name, expected: size, found: told)
    }
    let linkedSum = answer.linked.linkedSum ?? head.linkedSum
    let origin = PartialFile.Origin(
      address: address, mark: head.strongMark, size: total, sum: linkedSum)
    var from = head.firstByte ?? 0
    if from > 0,
      from != start || sum == nil && known?.sum != nil && linkedSum != nil && known?.sum != linkedSum
    {
      partial.remove()
      throw WebRequest.Broken(address: answer.address, reason: "it has another file by now", isFinal: false)
    }
    if from == 0 || start == 0 { from = 0 }
    let folder = URL(fileURLWithPath: partial.path).deletingLastPathComponent().path
    if let total { try DiskSpace.require(total - from, in: folder) }
    let writer = try partial.open(at: from)
    if sum == nil { try partial.write(origin) }
    return (writer, total)
  }

  private var name: String { URL(fileURLWithPath: target).lastPathComponent }

  /// Compares the sum, where one is known, and gives the file its name.
  private func check(_ onEvent: (Event) -> Void) throws -> (sum: String, wasKnown: Bool) {
    let (count, expected) = (partial.byteCount, sum ?? partial.origin?.sum)
    let found: String
    do {
      found = try SHA256.hexadecimal(ofFile: partial.path) { onEvent(.checking(bytes: $0, total: count)) }
    } catch is CancellationError {
      throw CancellationError()
    } catch {
      throw DownloadError.system(path: partial.path, code: PartialFile.code(error))
    }
    if let expected, found != expected {
      partial.remove()
      throw DownloadError.otherContents(name: name, expected: expected, found: found, byteCount: count)
    }
    try partial.open(at: count).synchronize()
    try partial.finish(as: target)
    return (found, expected != nil)
  }

  private static func wait(_ seconds: Double) throws {
    let end = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < end {
      try Task.checkCancellation()
      usleep(50_000)
    }
  }
}
