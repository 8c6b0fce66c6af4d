// Saving: new segments first, then the manifest that names them, then what nobody names any more is removed.

import Foundation
public import LlamaHost
import RetrievalAttention

extension Session {
  /// Puts everything on the disk; what was there already is not written again.
  ///
  /// When this returns, the session survives a crash and a loss of power. Cost: the new tokens' keys and values, the
  /// queries that indexes learn from, and the index if tokens were added to it.
  ///
  /// - Throws: ``SessionError/readOnly(path:)``, ``RetrievalAttention/StorageError`` when the disk is full. The session
  ///   on the disk is then the one of the last save, and the one in memory is as it was.
  public func save() throws {
    guard access == .write else { throw SessionError.readOnly(path: directory) }
    guard isChanged || runner.engine.hasChanges(since: home) else { return }
    try commit()
  }

  /// The context's segments, the manifest that names them, and this object's idea of both change together, or not at
  /// all.
  private func commit() throws {
    var next = manifest
    next.commit += 1
    try runner.context.commit(
      to: .directory(directory, commit: next.commit, home: home), home: home, unread: pendingTokens
    ) { image in
      next.modified = Date().timeIntervalSince1970
      next.tokenCount = tokenCount
      next.pendingTokenCount = pendingTokens.count
      next.documents = documents
      next.attributes = attributes
      next.rows = image.rows.map { SessionManifest.File($0) }
      next.indexes = image.indexes.map { SessionManifest.File($0) }
      next.state = SessionManifest.File(image.state)
      try SessionFiles.replace("\(directory)/\(SessionManifest.fileName)", with: next.encoded())
    }
    manifest = next
    isChanged = false
    SessionFiles.removeOrphans(directory, keeping: next)
  }

  /// Reads tokens at the end of the context, and saves.
  ///
  /// Whatever stops it, what was read by the last checkpoint is on the disk, and the rest is in ``pendingTokens``, to
  /// be read by ``resumeIngest(checkpointInterval:progress:)``. The result is the same to the bit then.
  ///
  /// - Parameters:
  ///   - documents: the texts in these tokens; their ``SessionDocument/firstToken`` counts from the first of these.
  ///   - checkpointInterval: seconds between saves, at least; they take a small share of that.
  ///   - progress: is told how many of how many tokens have been read.
  /// - Returns: the logits after the last token.
  /// - Throws: `CancellationError` when the task is cancelled, and what was read is saved; ``SessionError``,
  ///   ``RetrievalAttention/AttentionError`` when the tokens do not fit, and nothing has changed then.
  @discardableResult
  public func ingest(
    _ tokens: [Int32], documents: [SessionDocument] = [], checkpointInterval: Double = 30,
    progress: ((_ done: Int, _ total: Int) -> Void)? = nil
  ) throws -> Logits {
    guard access == .write else { throw SessionError.readOnly(path: directory) }
    guard pendingTokens.isEmpty else {
      throw SessionError.invalidSetting(
        name: "pending tokens", value: "\(pendingTokens.count)",
        requirement: "read by resumeIngest before others are added")
    }
    guard !tokens.isEmpty else { throw GenerationError.emptyPrompt }
    let (start, capacity) = (tokenCount, runner.context.capacity)
    guard tokens.count <= capacity - start else {
      throw AttentionError.capacityExceeded(tokens: start + tokens.count, capacity: capacity)
    }
    for document in documents
    where document.firstToken < 0 || document.tokenCount < 0
      || document.firstToken > tokens.count - document.tokenCount
    {
      throw SessionError.invalidSetting(
        name: "the range of \(document.name)", value: "\(document.firstToken) + \(document.tokenCount)",
        requirement: "within the \(tokens.count) tokens")
    }
    let before = self.documents
    pendingTokens = tokens
    self.documents += documents.map {
      SessionDocument(
        name: $0.name, firstToken: start + $0.firstToken, tokenCount: $0.tokenCount, contents: $0.contents)
    }
    do {
      // The plan first, so that it can be resumed whatever happens.
      try save()
    } catch {
      pendingTokens = []
      self.documents = before
      throw error
    }
    return try resumeIngest(checkpointInterval: checkpointInterval, progress: progress)
  }

  /// Reads ``pendingTokens``, and saves; see ``ingest(_:documents:checkpointInterval:progress:)``.
  @discardableResult
  public func resumeIngest(
    checkpointInterval: Double = 30, progress: ((_ done: Int, _ total: Int) -> Void)? = nil
  ) throws -> Logits {
    guard access == .write else { throw SessionError.readOnly(path: directory) }
    let total = pendingTokens.count
    guard total > 0 else { throw GenerationError.emptyPrompt }
    let end = tokenCount + total
    try runner.beginPrompt(of: total, endingAt: end)
    defer { runner.endPrompt() }
    let clock = ContinuousClock()
    var saved = clock.now
    progress?(0, total)
    while true {
      let batch = pendingTokens.prefix(runner.host.context.batchCapacity)
      let logits: Logits
      do {
        logits = try runner.read(batch, endingAt: end) {
          progress?(total - self.pendingTokens.count + $0, total)
        }
      } catch {
        try save()
        throw error
      }
      pendingTokens.removeFirst(batch.count)
      progress?(total - pendingTokens.count, total)
      guard !pendingTokens.isEmpty else {
        try save()
        return logits
      }
      let isDue = (clock.now - saved).seconds >= checkpointInterval
      if isDue || memoryLimit.map({ runner.engine.unsavedByteCount > $0 / 4 }) ?? false {
        try save()
        saved = clock.now
      }
    }
  }
}
