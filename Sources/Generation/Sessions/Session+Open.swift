// Opening: the manifest is read, files are mapped, nothing else.

import AttentionKernels
import Foundation
public import LlamaHost
import RetrievalAttention

extension Session {
  /// Opens a session with the model that it was made with.
  ///
  /// Cost: the manifest, and a few system calls for each KV head of each layer, whatever the length of the context;
  /// besides, once for each model file and process, reading that file, unless the session knows it by its time and
  /// size.
  ///
  /// - Parameters:
  ///   - plannedTokens: tokens that are to be read besides those that it has; there is room for a long conversation
  ///     besides.
  ///   - access: `.write` to continue and ``save()`` the session; only one at a time may have it so.
  ///   - memoryLimit: see ``memoryLimit``.
  /// - Throws: ``SessionError``: above all ``SessionError/otherModel(path:property:expected:found:)`` and
  ///   ``SessionError/locked(path:owner:)``; ``RetrievalAttention/StorageError`` for damaged files. Checksums are
  ///   compared by ``verify(at:)`` only.
  public static func open(
    _ directory: String, host: GuestHost, access: Access = .read, plannedTokens: Int = 1,
    memoryLimit: Int? = nil
  ) throws -> Session {
    try checkLimit(memoryLimit)
    try Context.checkPlan(plannedTokens)
    // A writer's files may go while a reader opens them: a newer manifest names others then.
    var attempt = 0
    while true {
      do {
        return try openOnce(
          directory, host: host, access: access, plannedTokens: plannedTokens, memoryLimit: memoryLimit)
      } catch StorageError.system(_, _, code: ENOENT) where access == .read && attempt < 8 {
        attempt += 1
      }
    }
  }

  /// The same for a model that is not prepared yet.
  public static func open(
    _ directory: String, model: LlamaModel, pool: ThreadPool, access: Access = .read, memoryLimit: Int? = nil
  ) throws -> Session {
    // So that a wrong path is told before anything is computed.
    _ = try SessionManifest.read(directory)
    return try open(
      directory, host: GuestHost(model: model, pool: pool), access: access, memoryLimit: memoryLimit)
  }

  private static func openOnce(
    _ directory: String, host: GuestHost, access: Access, plannedTokens: Int, memoryLimit: Int?
  ) throws -> Session {
    var manifest = try SessionManifest.read(directory)
    let lock = access == .write ? try SessionLock(directory) : nil
    if lock != nil {
      // Again under the lock: another writer may have been at work until now.
      manifest = try SessionManifest.read(directory)
      SessionFiles.removeOrphans(directory, keeping: manifest)
    }
    let identity = try ModelIdentity(host, known: manifest.model)
    try manifest.model.require(identity, session: directory)
    manifest.model.stamps = identity.stamps
    guard let policy = manifest.attention.policy else {
      throw StorageError.unsupportedPolicy(name: manifest.attention.name)
    }
    var tokens: [Int32] = []
    let home = UUID().uuidString
    let image = try openImage(directory, manifest, home: home)
    if let image {
      tokens = try readTokens(image, manifest)
      let size = host.model.tokenizer.vocabularySize
      guard tokens.allSatisfy({ $0 >= 0 && Int($0) < size }) else {
        throw StorageError.damaged(
          path: image.state.path, what: "a token", expected: "0 to \(size - 1)", actual: "outside of that")
      }
    }
    let (planned, overflow) = tokens.count.addingReportingOverflow(plannedTokens)
    guard !overflow else {
      throw SessionError.invalidSetting(
        name: "planned tokens", value: "\(plannedTokens)",
        requirement: "fewer than 2^63 with those that are there")
    }
    var shape = host.shape
    shape.format = manifest.format ?? KeyValueFormat()
    let engine = try Context.withCapacity(for: planned) { capacity in
      if let image {
        try AttentionEngine(shape: shape, policy: policy, capacity: capacity, image: image)
      } else {
        try AttentionEngine(shape: shape, policy: policy, capacity: capacity)
      }
    }
    try engine.checkFiles()
    guard engine.tokenCount == manifest.tokenCount else {
      throw StorageError.damaged(
        path: image?.state.path ?? directory, what: "the number of tokens",
        expected: "\(manifest.tokenCount)",
        actual: "\(engine.tokenCount)")
    }
    let context = Context(
      engine: engine, tokens: Array(tokens.prefix(manifest.tokenCount)),
      recurrent: try image.map { try Context.savedStates(in: $0, count: manifest.tokenCount) }
        ?? RecurrentHistory())
    guard !host.takeover.isHybrid || context.tokenCount == 0 || context.hasRecurrentLayers else {
      throw StorageError.damaged(
        path: image?.state.path ?? directory, what: "states of recurrent layers",
        expected: "those after \(context.tokenCount) tokens", actual: "none")
    }
    let session = Session(
      directory: directory, runner: GuestRunner(host: host, context: context), manifest: manifest, lock: lock,
      pendingTokens: Array(tokens.dropFirst(manifest.tokenCount)), home: home)
    session.memoryLimit = memoryLimit
    return session
  }

  /// The segments that a manifest names; nil before the first save.
  static func openImage(
    _ directory: String, _ manifest: SessionManifest, home: String? = nil
  ) throws -> EngineImage? {
    func open(_ file: SessionManifest.File) throws -> SegmentFile {
      let path = "\(directory)/\(file.name)"
      let segment = try SegmentFile(opening: path, home: home)
      guard segment.header.byteCount == file.byteCount else {
        throw StorageError.damaged(
          path: path, what: "size", expected: "\(file.byteCount)", actual: "\(segment.header.byteCount)")
      }
      let checksum = SessionManifest.hexadecimal(segment.header.checksum)
      guard checksum == file.checksum else {
        throw StorageError.damaged(
          path: path, what: "checksum of the header (another session's file?)", expected: file.checksum,
          actual: checksum)
      }
      return segment
    }
    guard let state = manifest.state else { return nil }
    return try EngineImage(
      rows: manifest.rows.map(open), indexes: manifest.indexes.map(open), state: open(state))
  }

  /// All tokens of a session, those that are still to be read among them.
  private static func readTokens(_ image: EngineImage, _ manifest: SessionManifest) throws -> [Int32] {
    try Context.savedTokens(in: image, count: manifest.tokenCount + manifest.pendingTokenCount)
  }

  /// Compares every byte of a session with its checksums. Needs no model.
  ///
  /// Cost: one pass over all files. Throws ``SessionError`` or ``RetrievalAttention/StorageError`` for the first
  /// damage.
  @discardableResult
  public static func verify(at directory: String) throws -> SessionDescription {
    let manifest = try SessionManifest.read(directory)
    if let image = try openImage(directory, manifest) {
      for file in image.files {
        try Task.checkCancellation()
        try file.verify()
      }
      _ = try readTokens(image, manifest)
    }
    return SessionDescription(manifest, directory: directory)
  }
}
