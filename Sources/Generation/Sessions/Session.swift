// A context that outlives its process.

import Foundation
import LlamaHost
public import RetrievalAttention

/// A context on disk: prefilled once, opened at once, continued, forked.
///
///     let host = try GuestHost(model: model, pool: pool)
///     let session = try Session.create(at: "alice.session", host: host)
///     try session.ingest(tokens, documents: [SessionDocument(name: "alice.txt", firstToken: 0, tokenCount: 9000)])
///
///     // Another day, in milliseconds:
///     let session = try Session.open("alice.session", host: host)
///     let answer = try TextGenerator(runner: session.fork()).generate(prompt: question, ...)
///
/// The context is ``runner``: whatever reads with it continues the session, and ``save()`` puts that on the disk. A
/// ``fork()`` goes its own way. Saving is atomic: after a crash, a loss of power or a full disk there is the session of
/// the last save. Later results are the same to the bit whether a session was saved and reopened or not (with the same
/// threads and processor).
///
/// One session may be open for writing, in one process, and any number of times for reading, while it is written, too.
/// Not thread-safe; see ``GuestHost``.
public final class Session {
  public enum Access: Sendable {
    case read, write
  }

  /// The session's directory.
  public let directory: String
  public var access: Access { lock == nil ? .read : .write }
  /// The context.
  public let runner: GuestRunner
  /// The texts in the context and where they are. Saved by ``save()``.
  public var documents: [SessionDocument] { didSet { isChanged = true } }
  /// Whatever an application wants to keep with the session. Saved by ``save()``.
  public var attributes: [String: String] { didSet { isChanged = true } }
  /// Tokens still to be read by ``resumeIngest(checkpointInterval:progress:)``: not empty after an interruption.
  public internal(set) var pendingTokens: [Int32] { didSet { isChanged = true } }
  /// Bytes of memory that keys and values should take at most; the rest stays on the disk and is read when needed.
  public var memoryLimit: Int? {
    get { runner.engine.memoryLimit }
    set { runner.engine.memoryLimit = newValue }
  }

  var manifest: SessionManifest
  var isChanged = false
  /// Stands for this session in what its engine knows about files.
  let home: String
  private let lock: SessionLock?

  init(
    directory: String, runner: GuestRunner, manifest: SessionManifest, lock: SessionLock?,
    pendingTokens: [Int32] = [], home: String = UUID().uuidString
  ) {
    self.directory = directory
    self.runner = runner
    self.manifest = manifest
    self.lock = lock
    self.pendingTokens = pendingTokens
    self.home = home
    documents = manifest.documents
    attributes = manifest.attributes
  }

  /// The session as it was saved last.
  public var description: SessionDescription { SessionDescription(manifest, directory: directory) }
  /// The tokens of the context.
  public var tokens: [Int32] { runner.tokens }
  public var tokenCount: Int { runner.tokenCount }

  /// Makes a new, empty session and opens it for writing.
  ///
  /// - Parameters:
  ///   - directory: must not exist; its parent must.
  ///   - plannedTokens: tokens that are to be read into it; there is room for a long conversation besides.
  ///   - memoryLimit: see ``memoryLimit``.
  /// - Throws: ``SessionError``, ``RetrievalAttention/StorageError/unsupportedPolicy(name:)`` for a policy that cannot
  ///   be saved, ``RetrievalAttention/AttentionError``; nothing is left on the disk then.
  public static func create(
    at directory: String, host: GuestHost, policy: AttentionPolicy = .retrieval(.init()),
    plannedTokens: Int = 1, memoryLimit: Int? = nil
  ) throws -> Session {
    try checkLimit(memoryLimit)
    try Context.checkPlan(plannedTokens)
    let context = try Context(shape: host.shape, policy: policy, plannedTokens: plannedTokens)
    let now = Date().timeIntervalSince1970
    let manifest = SessionManifest(
      created: now, modified: now, model: try ModelIdentity(host), attention: try StoredPolicy(policy),
      format: host.shape.format)
    let lock = try makeDirectory(directory, manifest)
    let session = Session(
      directory: directory, runner: GuestRunner(host: host, context: context), manifest: manifest, lock: lock)
    session.memoryLimit = memoryLimit
    return session
  }

  /// Makes a new session of a context, such as a fork that is worth keeping, and opens it for writing.
  ///
  /// The session goes on with the runner itself. Throws as ``create(at:host:policy:plannedTokens:memoryLimit:)`` does;
  /// the runner is as it was then.
  ///
  /// - Parameters:
  ///   - documents: the texts in the context.
  ///   - attributes: what to keep with it, such as ``Conversation/attributes``.
  public static func create(
    at directory: String, from runner: GuestRunner, documents: [SessionDocument] = [],
    attributes: [String: String] = [:]
  ) throws -> Session {
    let now = Date().timeIntervalSince1970
    let manifest = SessionManifest(
      created: now, modified: now, model: try ModelIdentity(runner.host),
      attention: try StoredPolicy(runner.engine.policy), format: runner.engine.shape.format,
      documents: documents, attributes: attributes)
    let lock = try makeDirectory(directory, manifest)
    let session = Session(directory: directory, runner: runner, manifest: manifest, lock: lock)
    session.memoryLimit = nil
    do {
      try session.save()
    } catch {
      try? FileManager.default.removeItem(atPath: directory)
      throw error
    }
    return session
  }

  /// Puts a directory with a manifest in place, and locks it. It appears complete or not at all.
  static func makeDirectory(
    _ directory: String, _ manifest: SessionManifest, fill: (_ temporary: String) throws -> Void = { _ in }
  ) throws -> SessionLock {
    guard !FileManager.default.fileExists(atPath: directory) else {
      throw SessionError.exists(path: directory)
    }
    let temporary = "\(directory).\(String(UInt64.random(in: 0 ... .max), radix: 36)).tmp"
    guard unsafe mkdir(temporary, 0o777) == 0 else {
      throw SessionError.system(operation: "mkdir", path: temporary, code: errno)
    }
    do {
      let lock = try SessionLock(temporary)
      try fill(temporary)
      try SessionFiles.replace("\(temporary)/\(SessionManifest.fileName)", with: manifest.encoded())
      guard unsafe rename(temporary, directory) == 0 else {
        let code = errno
        guard code != ENOTEMPTY, code != EEXIST, code != ENOTDIR else {
          throw SessionError.exists(path: directory)
        }
        throw SessionError.system(operation: "rename", path: directory, code: code)
      }
      let parent = (directory as NSString).deletingLastPathComponent
      SessionFiles.synchronizeDirectory(parent.isEmpty ? "." : parent)
      return lock
    } catch {
      try? FileManager.default.removeItem(atPath: temporary)
      throw error
    }
  }

  static func checkLimit(_ memoryLimit: Int?) throws {
    guard let memoryLimit, memoryLimit <= 0 else { return }
    throw SessionError.invalidSetting(
      name: "memory limit", value: "\(memoryLimit)", requirement: "positive, in bytes")
  }

  /// A runner with the same context that goes its own way: nothing of it is saved here.
  ///
  /// See ``GuestRunner/fork()``.
  public func fork() throws -> GuestRunner { try runner.fork() }
}
