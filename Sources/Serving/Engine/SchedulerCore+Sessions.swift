// Documents that come from the disk and go there.

import Foundation
import Generation
import LlamaHost
import Platform
import RetrievalAttention

extension SchedulerCore {
  /// Tokens that must be left behind a document for a question and its answer.
  static let leastRoom = 64

  /// Looks at all sessions that the settings name: each is opened once, so that one of another model is found now.
  ///
  /// - Returns: what was left out, in sentences.
  /// - Throws: ``SessionSetupError``, ``Generation/SessionError``, above all `otherModel`, and
  ///   ``RetrievalAttention/StorageError``.
  func registerSessions() throws -> [String] {
    guard folder != nil || !settings.sessions.isEmpty else { return [] }
    guard store.isShared else { throw SessionSetupError.unsupportedPolicy(name: settings.attention.name) }
    var paths: [String: String] = [:]
    for path in settings.sessions {
      let name = try SchedulerSettings.sessionName(path)
      if let other = paths[name] { throw SessionSetupError.sameName(name, paths: [other, path]) }
      paths[name] = path
      try register(name, path, isOwned: false)
    }
    guard let folder else { return [] }
    let (sessions, damaged) = SessionStore(folder: folder.path).list()
    var notes = damaged.map { "\($0.name) in the session store is left alone: \($0.error)" }
    for session in sessions {
      if let other = paths[session.name] {
        throw SessionSetupError.sameName(session.name, paths: [other, session.directory])
      }
      do {
        try register(session.name, session.directory, isOwned: true)
      } catch let error as SessionError {
        // A folder of another model's sessions is a mistake; one damaged session is not worth the others.
        if case .otherModel = error { throw error }
        notes.append("\(session.name) in the session store is left alone: \(error)")
      } catch {
        notes.append("\(session.name) in the session store is left alone: \(error)")
      }
    }
    return notes
  }

  private func register(_ id: String, _ path: String, isOwned: Bool) throws {
    let session = try Session.open(path, host: runner.host)
    let description = session.description
    guard description.pendingTokenCount == 0, session.tokenCount > 0 else {
      throw SessionSetupError.incomplete(
        path: path, done: session.tokenCount, pending: description.pendingTokenCount)
    }
    guard session.tokenCount + Self.leastRoom <= limits.contextLength else {
      throw SessionSetupError.tooLong(
        path: path, tokens: session.tokenCount, limit: limits.contextLength)
    }
    let conversation = try Conversation(continuing: session.attributes, model: runner.model)
    let name = description.documents.map { URL(fileURLWithPath: $0.name).lastPathComponent }
    let card = SessionCard(
      id: id, name: name.isEmpty ? id : name.joined(separator: ", "), state: .stored,
      tokens: session.tokenCount, tokensRead: session.tokenCount, bytes: description.byteCount,
      created: description.created, lastUsed: description.modified, isReadOnly: !isOwned)
    registry.add(
      card,
      SessionDocumentText(
        tokens: session.tokens, conversation: conversation, directory: path, documents: description.documents)
    )
  }

  /// Maps the session on disk that a prompt begins with, if that has more of it than the `found` tokens that are there.
  ///
  /// - Returns: whether there was one.
  func openDocument(for group: RequestGroup, found: Int) throws -> Bool {
    guard
      let (id, document) = registry.stored(
        for: group.prompt, better: found, preferring: group.request.session),
      let directory = document.directory, !store.hasDocument(of: id)
    else { return false }
    try open(id, directory)
    return true
  }

  private func open(_ id: String, _ directory: String) throws {
    let session = try Session.open(directory, host: runner.host)
    let context = StoredContext(session.runner.context)
    if let ours = settings.attention.retrieval, context.engine.policy.retrieval != nil,
      !ours.layerTolerances.isEmpty
    {
      // The tolerances of a profile are in no session.
      context.engine.applySearch(of: ours)
    }
    context.session = id
    context.pinnedCount = context.tokens.count
    keep(context)
  }

  // MARK: Saving

  /// Writes a document that has just been read, as long as it takes on a thread of its own; it is ready when it is
  /// there.
  ///
  /// - Returns: false when sessions are not kept.
  func save(_ context: StoredContext, for group: RequestGroup, id: String) -> Bool {
    guard let folder, let document = registry.document(id) else { return false }
    do {
      let directory = try folder.directory(of: id)
      let fork = try context.fork(keeping: context.tokens.count, capacity: limits.contextLength)
      let name = registry.name(id) ?? id
      let order = SavingOrder(
        runner: GuestRunner(host: runner.host, context: fork.context),
        directory: directory,
        documents: [SessionDocument(name: name, firstToken: 0, tokenCount: fork.tokens.count)],
        attributes: document.conversation.attributes)
      saving[id] = group
      writer.write(order) { [mailbox] failure in
        mailbox.noteSaved(session: id, failure: failure)
      }
    } catch {
      didSave(id, group, failure: SessionWriter.reason(error))
    }
    return true
  }

  /// A document is on the disk, or could not be written there.
  func didSave(_ id: String, _ group: RequestGroup, failure: String?) {
    saving[id] = nil
    var failure = failure
    let isWanted = registry.contains(id) && !isCancelled(group)
    let directory = try? folder?.directory(of: id)
    if isWanted, failure == nil, let directory {
      do {
        // From now on it is mapped from there, and its memory can go when nobody uses it any more.
        store.remove(documentOf: id)
        try open(id, directory)
        registry.setDirectory(directory, of: id)
        finishSession(group, id: id)
        return
      } catch {
        failure = SessionWriter.reason(error)
      }
    }
    if let directory { try? Session.remove(directory) }
    store.remove(session: id)
    _ = try? registry.remove(id)
    let error: any Error =
      isWanted
      ? ServingError.engineFailure(
        "the document was read, but could not be kept on the disk: \(failure ?? "")")
      : CancellationError()
    mailbox.with {
      if isWanted { $0.statistics.failed += 1 } else { $0.statistics.cancelled += 1 }
    }
    group.finish(throwing: error)
  }
}

/// A context that is to be written.
struct SavingOrder {
  let runner: GuestRunner
  let directory: String
  let documents: [SessionDocument]
  let attributes: [String: String]
}

/// Writes sessions, one after the other, while the engine goes on.
final class SessionWriter: Sendable {
  private let queue = DispatchQueue(label: "session writer", qos: .utility)

  /// Takes a fork that nobody else has: forks are independent, and what they share is never written again.
  func write(_ order: consuming SavingOrder, then: @escaping @Sendable (_ failure: String?) -> Void) {
    let box = OrderBox(order: order)
    queue.async {
      let order = box.order
      do {
        _ = try Session.create(
          at: order.directory, from: order.runner, documents: order.documents, attributes: order.attributes)
        then(nil)
      } catch {
        then(Self.reason(error))
      }
    }
  }

  /// Without paths: clients see it.
  static func reason(_ error: any Error) -> String {
    switch error {
    case StorageError.system(_, _, let code), SessionError.system(_, _, let code):
      systemMessage(code)
    default: "\(type(of: error))"
    }
  }
}

/// One thread hands it over, another one takes it.
private final class OrderBox: @unchecked Sendable {
  let order: SavingOrder

  init(order: SavingOrder) { self.order = order }
}
