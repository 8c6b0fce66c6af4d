// The sessions that clients see. The keys and values belong to the engine's thread; tokens and dates are kept here.

import Foundation
import Generation
import Synchronization

/// What a session's prompts begin with.
struct SessionDocumentText: Sendable {
  /// To read again after its context was given up, and to find it in prompts.
  var tokens: [Int32]
  /// How to go on after them.
  var conversation: Conversation
  /// Where the session is on the disk; nil for one in memory.
  var directory: String?
  /// Which of the tokens each document has; what the template says before the first one is nobody's.
  var documents: [SessionDocument] = []
}

final class SessionRegistry: Sendable {
  private struct Record {
    var card: SessionCard
    var document: SessionDocumentText
  }

  private let records = Mutex<[String: Record]>([:])

  /// Enters a new session; throws when there are `limit` already.
  func create(name: String, document: SessionDocumentText, limit: Int) throws -> SessionCard {
    let now = Date()
    let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")
    let id = "ses-" + String((0..<24).map { _ in letters[Int.random(in: 0..<letters.count)] })
    let card = SessionCard(
      id: id, name: name, state: .reading, tokens: document.tokens.count, tokensRead: 0, bytes: 0,
      created: now, lastUsed: now)
    try records.withLock { records in
      guard records.count < limit else {
        throw ServingError.invalidParameter(
          "session", message: "There are \(limit) sessions already. Delete one with DELETE /v1/sessions/ID.")
      }
      records[id] = Record(card: card, document: document)
    }
    return card
  }

  /// Enters a session that exists.
  func add(_ card: SessionCard, _ document: SessionDocumentText) {
    records.withLock { $0[card.id] = Record(card: card, document: document) }
  }

  /// The document of a session that is about to be asked.
  func use(_ id: String) throws -> SessionDocumentText {
    try records.withLock { records in
      guard var record = records[id] else { throw ServingError.unknownSession(id) }
      guard record.card.state != .reading else { throw ServingError.sessionNotReady(id) }
      record.card.lastUsed = Date()
      records[id] = record
      return record.document
    }
  }

  /// The session on disk with the longest document that `prompt` begins with, of more than `count` tokens; of equals
  /// the one that is asked.
  func stored(
    for prompt: [Int32], better count: Int, preferring id: String?
  ) -> (id: String, document: SessionDocumentText)? {
    let candidates = records.withLock { records in
      records.values.filter {
        $0.document.directory != nil && $0.document.tokens.count > count
          && $0.document.tokens.count < prompt.count
      }
    }
    // Documents are long: nobody who asks for a list waits for this.
    return candidates.filter { prompt.starts(with: $0.document.tokens) }
      .max {
        ($0.document.tokens.count, $0.card.id == id ? 1 : 0)
          < ($1.document.tokens.count, $1.card.id == id ? 1 : 0)
      }
      .map { ($0.card.id, $0.document) }
  }

  /// Changes a session, if it still exists; returns it.
  @discardableResult
  func update(_ id: String, _ change: (inout SessionCard) -> Void) -> SessionCard? {
    records.withLock { records in
      guard var record = records[id] else { return nil }
      change(&record.card)
      records[id] = record
      return record.card
    }
  }

  func setDirectory(_ directory: String, of id: String) {
    records.withLock { $0[id]?.document.directory = directory }
  }

  func document(_ id: String) -> SessionDocumentText? { records.withLock { $0[id]?.document } }

  func name(_ id: String) -> String? { records.withLock { $0[id]?.card.name } }

  func card(_ id: String) throws -> SessionCard {
    guard let record = records.withLock({ $0[id] }) else { throw ServingError.unknownSession(id) }
    return record.card
  }

  /// All sessions, the last used first.
  var cards: [SessionCard] {
    records.withLock { $0.values.map(\.card) }.sorted { ($0.lastUsed, $0.id) > ($1.lastUsed, $1.id) }
  }

  var count: Int { records.withLock { $0.count } }

  func contains(_ id: String) -> Bool { records.withLock { $0[id] != nil } }

  /// Forgets a session; returns what it was.
  @discardableResult
  func remove(_ id: String) throws -> SessionDocumentText {
    guard let record = records.withLock({ $0.removeValue(forKey: id) }) else {
      throw ServingError.unknownSession(id)
    }
    return record.document
  }
}
