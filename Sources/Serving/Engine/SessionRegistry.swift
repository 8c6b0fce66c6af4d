// The sessions that clients see. The keys and values belong to the engine's thread; texts and dates are kept here.

import Foundation
import Synchronization

final class SessionRegistry: Sendable {
  private struct Record {
    var card: SessionCard
    /// To read again after its context was given up, and to find it in prompts.
    var text: String
  }

  private let records = Mutex<[String: Record]>([:])

  /// Enters a new session; throws when there are `limit` already.
  func create(name: String, text: String, tokens: Int, limit: Int) throws -> SessionCard {
    let now = Date()
    let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")
    let id = "ses-" + String((0..<24).map { _ in letters[Int.random(in: 0..<letters.count)] })
    let card = SessionCard(
      id: id, name: name, state: .reading, tokens: tokens, tokensRead: 0, bytes: 0, created: now,
      lastUsed: now)
    try records.withLock { records in
      guard records.count < limit else {
        throw ServingError.invalidParameter(
          "session", message: "There are \(limit) sessions already. Delete one with DELETE /v1/sessions/ID.")
      }
      records[id] = Record(card: card, text: text)
    }
    return card
  }

  /// The text of a session that is about to be asked.
  func use(_ id: String) throws -> (text: String, tokens: Int) {
    try records.withLock { records in
      guard var record = records[id] else { throw ServingError.unknownSession(id) }
      guard record.card.state != .reading else { throw ServingError.sessionNotReady(id) }
      record.card.lastUsed = Date()
      records[id] = record
      return (record.text, record.card.tokens)
    }
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

  func remove(_ id: String) throws {
    guard records.withLock({ $0.removeValue(forKey: id) }) != nil else {
      throw ServingError.unknownSession(id)
    }
  }
}
